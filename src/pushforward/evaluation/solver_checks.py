"""Checks of continuous flows: the straightness of their paths, and the error that the ODE solver adds to log-likelihoods."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Distribution, Transform, exactly
from ..errors import SpecError
from ..functional.ode import Fixed
from ..objectives.transport import assignment
from ..training import evaluate
from ..training.evaluate import evaluating
from ..training.random_state import isolated
from ..transforms import Continuous
from ..transforms.continuous import is_continuous

ROWS = 512
"""Largest number of rows that are checked."""
NEGLIGIBLE = 1e-3
"""Change of the log-likelihood, in nats, below which only this bound is printed."""
ROUND_TRIP = 1e-2
"""Largest acceptable distance between a row and the end of its round trip, in units of the layer's events."""


@dataclass(frozen=True)
class Straightness:
    """Energy of the paths of a continuous flow, beside its two lower bounds.

    By the inequality of Cauchy and Schwarz, |z - x|^2 = |int_0^T v dt|^2 <= T int_0^T |v|^2 dt, with equality for straight
    paths of constant speed. No pairing of data and noise has a smaller mean squared distance than optimal transport.

    Args:
        energy: Mean of T int_0^T |v|^2 dt over the paths.
        displacement: Mean of |z - x|^2, where x and z are the two ends of a path.
        transport: Least mean squared distance W_2^2 between data and noise, by optimal assignment of two samples of equal size.
    """

    energy: float
    displacement: float
    transport: float

    @property
    def ratio(self) -> float:
        """Energy divided by squared displacement: 1 for straight paths of constant speed, larger for others."""
        return self.energy / self.displacement

    @property
    def normalised(self) -> float:
        """Energy divided by W_2^2: 1 for optimal transport, apart from a small upward bias of finite samples."""
        return self.energy / self.transport


@torch.no_grad()
def straightness(model: Distribution, x: Any, context: Any = None, *, rows: int = ROWS, seed: int = 0) -> Straightness:
    """Return the path energies of the first continuous layer of a model; this needs SciPy.

    Args:
        model: Model with a `Continuous` layer.
        x: Events (N, *space.shape); the first `rows` are used.
        context: Context (N, *context.shape) or None.
        rows: Number of paths.
        seed: Seed of the noise, whose distance W_2 to the data is computed.

    Raises:
        SpecError: The model has no continuous layer.
    """
    layer, v, c = _given(model, x, context, is_continuous, rows)
    if not isinstance(layer, Continuous):
        raise SpecError(f"expected a model with a continuous layer, got a {type(model).__name__} without")
    twin = layer.exact_twin() or layer
    with evaluating(twin):
        path = twin.path(v, c, penalties=True)
    with isolated(v.device, seed):
        noise = torch.randn_like(v)
    best = (v - noise[assignment(v, noise)]).flatten(1).square().sum(1).mean()
    displacement = (path.end - v).flatten(1).square().sum(1).mean()
    # The penalty is half of int_0^T |v|^2 dt. Times 2 T it is the energy, which does not depend on the choice of T.
    energy = 2 * float(path.penalties["energy"].mean()) * float(layer.time)
    return Straightness(energy, float(displacement), float(best))


def follow(model: Distribution, x: Any, context: Any = None, *, rows: int = ROWS, points: int = 33) -> Tensor | None:
    """Return the paths of rows through the first continuous layer, from the data to the noise.

    Args:
        model: Distribution of any kind.
        x: Events (N, *space.shape); the first `rows` are used.
        context: Context (N, *context.shape) or None.
        rows: Number of paths.
        points: Number of points of each path.

    Returns:
        Paths (points, rows, *E) in the units of that layer, whose events have shape E; None for a model without such a layer.
    """
    if not any(isinstance(layer, Continuous) for layer in model.modules()):
        return None
    layer, v, c = _given(model, x, context, is_continuous, rows)
    with evaluating(layer):
        return layer.trajectory(v, c, points=points)  # type: ignore[operator]


@dataclass(frozen=True)
class SolverCheck:
    """Error that the numerical solvers of a model add to its log-likelihoods and to its round trips.

    A round trip maps a row from the data to the noise and back.

    Args:
        change: Mean log-density minus the mean log-density of the exactly solved model, in nats per row.
        error: Standard error of that difference.
        largest: Largest absolute change of a row, in nats.
        round_trip: Largest distance between a row and the end of its round trip, in units of the layer's events.
        evaluations: Number of evaluations of the velocity on a path; 0 for layers without a velocity.
        steps: Number of steps of the fixed solver that scores; None for other solvers.
        wanted: Number of steps with which the round trip is close enough; None if it is close enough already, or if no number
            of steps that was tried is enough.
    """

    change: float
    error: float
    largest: float
    round_trip: float
    evaluations: int
    steps: int | None
    wanted: int | None

    @property
    def sentence(self) -> str:
        """The check as one sentence."""
        small = self.largest < NEGLIGIBLE
        change = f"less than {NEGLIGIBLE:g}" if small else f"{-self.change:+.2g} ± {self.error:.1g}"
        most = "" if small else f" (a row by {self.largest:.2g} at most)"
        text = (
            f"solved exactly, the log-likelihood differs by {change} nats per row{most}; "
            f"round trips end within {self.round_trip:.1g}"
        )
        if self.wanted is not None:
            text += f": too far, use {self.wanted} steps instead of {self.steps}"
        elif self.steps is not None and not self.round_trip <= ROUND_TRIP:
            text += f": too far, and 64 times the {self.steps} steps are too few; the velocity is too steep"
        return text


def check_solver(
    model: Distribution, x: Any, context: Any = None, *, rows: int = ROWS, seed: int = 0
) -> SolverCheck | None:
    """Compare a model with its exactly solved twin (`core.exactly`) on some rows.

    Args:
        model: Distribution of any kind.
        x: Events (N, *space.shape); the first `rows` are used.
        context: Context (N, *context.shape) or None.
        rows: Number of rows.
        seed: Seed of the noise, the same for both models.

    Returns:
        The errors; None for a model without numerical solvers.
    """
    x, context = x[:rows], None if context is None else context[:rows]
    scores = []
    if not any(_approximates(layer) for layer in model.modules() if isinstance(layer, Transform)):
        return None
    for version in (model, exactly(model)):
        with isolated(model.device, seed):
            scores.append(evaluate(version, x, context).double())
    change = scores[0] - scores[1]
    change = change[change.isfinite()]
    layer, v, c = _given(model, x, context, _approximates, rows)
    with evaluating(layer), isolated(model.device, seed):
        path = layer.path(v, c) if isinstance(layer, Continuous) else None
        back = layer.inverse(layer(v, c)[0] if path is None else path.end, c)[0]
    distance = float((back - v).flatten(1).norm(dim=1).max())
    steps = wanted = None
    if isinstance(layer, Continuous) and isinstance(layer.scoring, Fixed):
        steps = layer.scoring.steps
        wanted = None if distance <= ROUND_TRIP else _enough_steps(layer, layer.scoring, v, c)
    return SolverCheck(
        change=float(change.mean()),
        error=float(change.std() / math.sqrt(max(len(change), 1))),
        largest=float(change.abs().max()) if len(change) else math.nan,
        round_trip=distance,
        evaluations=0 if path is None else path.evaluations,
        steps=steps,
        wanted=wanted,
    )


@dataclass(frozen=True)
class StepError:
    """Error of a fixed solver with a given number of steps.

    Args:
        steps: Number of steps of the fixed solver.
        round_trip: Largest distance between a row and the end of its round trip, in units of the layer's events.
        change: Mean log-density minus the mean log-density of the exactly solved model, in nats per row.
    """

    steps: int
    round_trip: float
    change: float


@torch.no_grad()
def step_errors(
    model: Distribution, x: Any, context: Any = None, *, steps: Sequence[int] = (2, 4, 8, 16, 32), rows: int = ROWS
) -> list[StepError]:
    """Return the errors of the first continuous layer of a model for several numbers of steps.

    The error of a solver of order p falls in proportion to steps^-p.

    Args:
        model: Model with a `Continuous` layer and a fixed solver.
        x: Events (N, *space.shape); the first `rows` are used.
        context: Context (N, *context.shape) or None.
        steps: Numbers of steps to try.
        rows: Number of rows.

    Raises:
        SpecError: The model has no continuous layer, or its solver chooses its own steps.
    """
    layer = _given(model, x, context, is_continuous, rows)[0]
    if not isinstance(layer, Continuous) or not isinstance(layer.scoring, Fixed):
        raise SpecError("expected a continuous layer with a fixed solver, got an adaptive one, which chooses its steps")
    scoring, found = layer.scoring, []
    try:
        for count in steps:
            layer.scoring = dataclasses.replace(scoring, steps=count)
            checked = check_solver(model, x, context, rows=rows)
            if checked is not None:
                found.append(StepError(count, checked.round_trip, checked.change))
    finally:
        layer.scoring = scoring
    return found


@torch.no_grad()
def _enough_steps(layer: Continuous, solver: Fixed, v: Tensor, context: Tensor | None) -> int | None:
    """Return the number of steps with which round trips end close enough; None if 64 times the steps are still too few.

    The number of steps is doubled until every round trip ends within `ROUND_TRIP` of its start.
    """
    for factor in (2, 4, 8, 16, 32, 64):
        finer, there = solver.times(factor), (v,)
        for start, end in ((0.0, 1.0), (1.0, 0.0)):
            there = finer.advance(lambda t, s: (layer.speed(t, s[0], context),), there, start, end).state  # type: ignore[assignment]
        if float((there[0] - v).flatten(1).norm(dim=1).max()) <= ROUND_TRIP:
            return finer.steps
    return None


def _approximates(layer: Transform) -> bool:
    return layer.exact_twin() is not None


def _given(
    model: Distribution, x: Any, context: Any, wanted: Callable[[Transform], bool], rows: int
) -> tuple[Transform, Tensor, Tensor | None]:
    """Return the first layer for which `wanted` is true, with its events and context.

    Raises:
        SpecError: The model has no such layer.
    """
    x = torch.as_tensor(x[:rows], dtype=model.space.event_dtype(model.dtype), device=model.device)
    context = None if context is None else torch.as_tensor(context[:rows], dtype=model.dtype, device=model.device)
    with evaluating(model), isolated(model.device, 0):
        events, given, _ = model._flatten(x, context)
        found = model._log_prob_until(wanted, events, given)[1]
    if found is None:
        raise SpecError(f"expected a model with such a layer, got a {type(model).__name__} without")
    return found
