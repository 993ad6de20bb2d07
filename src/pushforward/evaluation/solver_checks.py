"""How straight the paths of a continuous flow are, and what its numerical solution does to its numbers."""

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
"""Rows that are looked at, at most."""
NEGLIGIBLE = 1e-3
"""Nats below which a change is not worth a figure."""
ROUND_TRIP = 1e-2
"""Distance between a row and its round trip above which more steps are asked for, in units of the layer's events."""


@dataclass(frozen=True)
class Straightness:
    """What paths cost beside what they could.

    Args:
        energy: E T int_0^T |v|^2 dt.
        displacement: E |z - x|^2 of the paths' own ends. Their ratio is 1 for straight paths of constant speed, else more.
        transport: the least mean squared distance between data and noise, W_2^2, by assignment of equal samples.
    """

    energy: float
    displacement: float
    transport: float

    @property
    def ratio(self) -> float:
        """Energy over squared displacement."""
        return self.energy / self.displacement

    @property
    def normalised(self) -> float:
        """Energy over W_2^2: 1 for optimal transport, biased upwards a little by the finite sample."""
        return self.energy / self.transport


@torch.no_grad()
def straightness(model: Distribution, x: Any, context: Any = None, *, rows: int = ROWS, seed: int = 0) -> Straightness:
    """Path energies of a model's first continuous layer; needs SciPy.

    Args:
        model: with a `Continuous` layer.
        x: (N, *space.shape); the first `rows` are used.
        context: (N, *context.shape) or None.
        rows: number of paths.
        seed: Seed of the noise to which W_2 is measured.

    Raises:
        SpecError: the model has no continuous layer.
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
    # As if T were one: that is what a path of constant speed costs the square of its length in.
    energy = 2 * float(path.penalties["energy"].mean()) * float(layer.time)
    return Straightness(energy, float(displacement), float(best))


def follow(model: Distribution, x: Any, context: Any = None, *, rows: int = ROWS, points: int = 33) -> Tensor | None:
    """Rows on their way through the first continuous layer, from the data to noise.

    Args:
        model: any distribution.
        x: (N, *space.shape); the first `rows` are used.
        context: (N, *context.shape) or None.
        rows: number of paths.
        points: Number of points of each path.

    Returns:
        (points, rows, *E) in the units of that layer; None for a model without one.
    """
    if not any(isinstance(layer, Continuous) for layer in model.modules()):
        return None
    layer, v, c = _given(model, x, context, is_continuous, rows)
    with evaluating(layer):
        return layer.trajectory(v, c, points=points)  # type: ignore[operator]


@dataclass(frozen=True)
class SolverCheck:
    """What the numerical solution of a model's layers does to its numbers.

    Args:
        change: mean log-density minus that of the exactly solved model, in nats per row.
        error: standard error of that mean.
        largest: Largest absolute change.
        round_trip: largest distance of a row from where its round trip ends, in the units of the layer's events.
        evaluations: Number of evaluations of the velocity on a path; 0 for layers without one.
        steps: Number of steps of the fixed solver that scores; None for others.
        wanted: Number of steps with which the round trip is close enough; None if it is already, or if no number is enough.
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
        """For a person."""
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
        model: any distribution.
        x: (N, *space.shape); the first `rows` are used.
        context: (N, *context.shape) or None.
        rows: Number of rows.
        seed: Seed of the noise, the same for both.

    Returns:
        None for a model without approximations.
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
    """What a number of steps does.

    Args:
        steps: Number of steps of the fixed solver.
        round_trip: largest distance of a row from where its round trip ends.
        change: mean log-density minus that of the exactly solved model, in nats per row.
    """

    steps: int
    round_trip: float
    change: float


@torch.no_grad()
def step_errors(
    model: Distribution, x: Any, context: Any = None, *, steps: Sequence[int] = (2, 4, 8, 16, 32), rows: int = ROWS
) -> list[StepError]:
    """Errors of a model's first continuous layer against the number of steps; those of order p fall with steps^-p.

    Args:
        model: with a `Continuous` layer and a fixed solver.
        x: (N, *space.shape); the first `rows` are used.
        context: (N, *context.shape) or None.
        steps: to try.
        rows: Number of rows.

    Raises:
        SpecError: there is no such layer.
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
    """The number of steps, by doubling, with which round trips end close enough; None where even 64 times as many do not."""
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
    """The first layer that is wanted, with its events and context.

    Raises:
        SpecError: there is none.
    """
    x = torch.as_tensor(x[:rows], dtype=model.space.event_dtype(model.dtype), device=model.device)
    context = None if context is None else torch.as_tensor(context[:rows], dtype=model.dtype, device=model.device)
    with evaluating(model), isolated(model.device, 0):
        events, given, _ = model._flatten(x, context)
        found = model._log_prob_until(wanted, events, given)[1]
    if found is None:
        raise SpecError(f"expected a model with such a layer, got a {type(model).__name__} without")
    return found
