"""Construction and training of the model of `fit`: a Gaussian start, a flow after it, and stochastic layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core import Chain, Distribution, Flow, Inverse, Real, layers_of
from ..distributions import ConditionalNormal, Normal
from ..errors import DomainError, ShapeError, SpecError
from ..networks import head
from ..objectives.divergence import Divergence
from ..systems.nsf import NSF
from ..systems.spec import Spec, spec_from_dict
from ..training import TrainConfig
from ..training.parallel.processes import ProcessRanks
from ..training.parallel.strategies import Replicated
from ..training.progress import Progress
from ..training.running_clip import RunningClip
from ..training.step import Stepper
from ..transforms import Annealed, Cholesky, Schedule, Temperature, hamiltonian
from .importance_weights import importance
from .start import Frame
from .target import Target
from .verdict import GROWN

CHECKS = 30
"""Number of times that a run measures its bound."""
WINDOW = 4
"""Number of checks whose mean bound is compared with that of the same number of earlier checks."""
NEAR = 6
"""Largest gap to log Z, in tolerances, at which a bound that no longer rises ends training."""
COOLING = 0.3
"""Share of all steps over which the learning rate falls after the bound has converged."""
COLDEST = 0.01
"""Temperature at which annealing starts."""
CLIP = 20.0
"""Largest norm of a gradient, as a multiple of its running mean."""


def gaussian(features: int, scale: float, frame: Frame | None = None) -> Flow:
    """Return a Gaussian with learned mean and covariance that starts with deviation `scale`, in the units of the frame."""
    space = Real((features,))
    step = Cholesky(space)
    with torch.no_grad():
        step.parameters_of.free[:, 1:].fill_diagonal_(math.log(scale))
    if frame is None:
        return Flow(Inverse(step), Normal(space))
    fixed = Cholesky(space).to(frame.factor.dtype)
    with torch.no_grad():
        # The layer's parameters are the vector, and the matrix with the logarithms of its diagonal.
        logs = torch.diag_embed(frame.factor.diagonal().log())
        fixed.parameters_of.free.copy_(torch.cat([frame.mean[:, None], frame.factor.tril(-1) + logs], 1))
    fixed.requires_grad_(False)  # noqa: FBT003
    return Flow(Chain(Inverse(fixed), Inverse(step)), Normal(space))


def behind(flow: Flow, start: Flow) -> Flow:
    """Return the flow followed by the start's map: the start has located the mass, and the flow learns its shape."""
    return Flow(Chain(start.chain, *layers_of(flow.chain)), flow.base)


def shaped(flow: str | Spec, layers: int | None, start: Flow) -> Flow:
    """Return the flow for a name or a spec, followed by the start's map; for "gaussian" the start alone."""
    if flow == "gaussian":
        return start
    weight = next(start.parameters())
    return behind(built(flow, layers, start.space.size).to(weight.dtype), start)


def built(flow: str | Spec, layers: int | None, features: int) -> Flow:
    """Return the flow for a name or a spec.

    Raises:
        SpecError: The name is unknown, or the system does not model so many parameters.
        ShapeError: Its events are not vectors of that length.
    """
    if isinstance(flow, str):
        fields: dict[str, Any] = {"system": flow, "features": features}
        if layers is not None:
            fields["layers"] = layers
        if flow == NSF.name and features > 1:
            fields["structure"] = "coupling"
        try:
            flow = spec_from_dict(fields)
        except SpecError as error:
            raise SpecError(f"expected a system of vectors, got {flow!r}: {error}") from None
    model = flow.build()
    fits(model, features)
    return model  # type: ignore[return-value]


def fits(model: Distribution, features: int) -> None:
    """Check that a model is a flow of unconstrained vectors.

    Raises:
        SpecError: The model takes a context, or is not a flow.
        ShapeError: Its events are not vectors of this length.
    """
    if model.space != Real((features,)):
        raise ShapeError(
            f"expected a flow on {Real((features,))}, the unconstrained parameters, got one on {model.space}"
        )
    if not isinstance(model, Flow) or model.context is not None:
        raise SpecError("expected a flow without a context")


def with_langevin(flow: Flow, start: Flow, target: Target, count: int, step: float = 0.1) -> Flow:
    """Return a flow with Langevin layers that anneal from a start to the target (Wu, Koehler, Noe 2020, arXiv:2002.06707).

    The guess of the momenta in the backward direction is learned (Doucet et al. 2022, arXiv:2208.07698); it starts as a
    standard normal.

    Args:
        flow: Flow whose draws the layers move.
        start: Distribution at which annealing starts, wide and exact.
        target: Log-density log p.
        count: Number of layers.
        step: Initial step size, in the units of the unconstrained parameters.
    """
    gaps = Schedule(count)

    # A chain is listed from the data side, so the target itself, with inverse temperature 1, comes first.
    rungs = [Annealed(start._log_prob, target, Temperature(gaps, i)) for i in reversed(range(count))]
    space = Real((target.features,))
    guesses = [ConditionalNormal(space, space.size, net=head(space.size, 2 * space.size, (32,))) for _ in rungs]
    steps = [hamiltonian(rung, space, step=step, reverse=guess) for rung, guess in zip(rungs, guesses, strict=True)]
    return Flow(Chain(*steps, *layers_of(flow.chain)), flow.base)


def train(
    divergence: Divergence,
    target: Target,
    *,
    steps: int,
    samples: int,
    lr: float,
    anneal: float,
    tolerance: float = 0.0,
    progress: Progress | None = None,
    lost: Callable[[], bool] | None = None,
    skip: bool = False,
) -> list[dict[str, float]]:
    """Minimise a divergence by Adam; the learning rate follows a cosine, and falls faster once the bound has converged.

    Args:
        divergence: Loss; it contains the model.
        target: Log-density log p.
        steps: Largest number of steps.
        samples: Number of draws in each step.
        lr: Initial learning rate.
        anneal: Share of the steps over which log p is tempered.
        tolerance: Tolerance in nats. Training ends when the bound is closer to log Z than this, or within `NEAR` times this
            and no longer rising; over the last steps, a share `COOLING` of all, the rate falls. With 0 all steps are taken.
        progress: Display of the steps.
        lost: Function without arguments, called at every check; training stops if it returns True.
        skip: Whether to take no step if the bound is within the tolerance from the start.

    Returns:
        State at some steps, see `look`.

    Raises:
        DomainError: The density cannot be used, see `Target`.
        TrainingError: The gradient was not finite for ten steps in a row.
    """
    theirs = {id(p) for p in target.parameters()}
    parameters = [p for p in divergence.model.parameters() if p.requires_grad and id(p) not in theirs]
    options = TrainConfig(ema=0.0, clip=0.0)
    strategy = Replicated(divergence.model, divergence, options, ProcessRanks(), parameters)
    # Adam has rate one, and the factor of each step is then its learning rate.
    stepper = Stepper(strategy, options, divergence.model.device, lambda own: torch.optim.Adam(own, lr=1.0))
    history, clip = [look(divergence.model, target, samples, 0)], RunningClip(CLIP)
    every, rate, cooling = max(1, steps // CHECKS), _Rate(lr, steps), 0
    if skip and history[0]["gap"] < tolerance:
        return history
    divergence.train()
    for step in range(1, steps + 1):
        _, norm = stepper.gradient(Draws(samples, temperature(step, anneal * steps)), clip.largest)
        if clip.accepts(float(norm)):
            stepper.update(step, rate(step))
        if step % every == 0:
            history.append(look(divergence.model, target, samples, step))
            if progress is not None:
                progress.show(step, f"bound {history[-1]['elbo']:.4f} nats")
            if lost is not None and lost():
                break
            untempered = [h for h in history if h["step"] > anneal * steps]
            if tolerance and not cooling and converged(untempered, tolerance):
                cooling = rate.cool(step, round(COOLING * steps))
        if cooling and step >= cooling:
            break
    divergence.eval()
    return history


@dataclass(frozen=True)
class Draws:
    """Draws of one step from the model, in place of a batch of rows.

    Args:
        count: Number of draws.
        temperature: Factor on log p.
    """

    count: int
    temperature: float

    def __len__(self) -> int:
        return self.count

    @property
    def inputs(self) -> tuple[Any, ...]:
        """Arguments of a divergence."""
        return self.count, self.temperature

    def share(self, ranks: ProcessRanks) -> tuple[tuple[Any, ...], float]:
        """Return the arguments of a divergence; draws are not divided among processes."""
        return self.inputs, 1.0


class _Rate:
    """Learning rate of each step: a cosine over all steps, and after `cool` a straight line to zero.

    Args:
        lr: Initial rate.
        steps: Number of steps.
    """

    def __init__(self, lr: float, steps: int) -> None:
        self.lr, self.steps = lr, steps
        self.start = self.end = 0

    def cool(self, step: int, length: int) -> int:
        """Let the rate fall to zero over `length` steps from now on, and return the last of these steps."""
        self.start, self.end = step, min(self.steps, step + max(1, length))
        return self.end

    def __call__(self, step: int) -> float:
        """Return the rate of a step, counted from one."""
        # While cooling, the cosine keeps its value from the step `start`, and a factor falls linearly to zero at the step
        # `end`.
        cosine = self.lr * (1 + math.cos(math.pi * (min(step, self.start or step) - 1) / self.steps)) / 2
        return cosine * max(0, self.end - step + 1) / (self.end - self.start + 1) if self.end else cosine


def converged(history: list[dict[str, float]], tolerance: float) -> bool:
    """Return whether a bound is within the tolerance of log Z, or near to it and no longer rising.

    The bound is level if its mean over the last `WINDOW` checks exceeds that over the `WINDOW` checks before by less than the
    tolerance and two standard errors. It is near if the mean gap to log Z over the last `WINDOW` checks is below `NEAR`
    tolerances.

    A level bound alone does not end training. The log-weights of N draws have a variance of about twice the gap, so the
    standard error of the bound is about sqrt(2 gap / N). With a gap of .1 nats and 1024 draws, a rise of .025 is not
    visible in it, although the flow still improves. The gap, from the same draws, has a standard error of about sqrt(2 /
    N) gap, three times smaller here, and shows how much can still be gained: with .03 nats, about exp(-.06) = 94 % of
    the draws count before the rate falls. A small gap alone is not enough either: it stays small while a flow discovers
    another mode, but then the bound rises.

    Args:
        history: State at each check, see `look`.
        tolerance: Tolerance in nats.
    """
    if len(history) >= 2 and max(h["gap"] for h in history[-2:]) < tolerance:
        return True
    if len(history) < 2 * WINDOW:
        return False
    halves = history[-WINDOW:], history[-2 * WINDOW : -WINDOW]
    late, early = (sum(h["elbo"] for h in half) / WINDOW for half in halves)
    error = math.sqrt(sum(h["error"] ** 2 for h in history[-2 * WINDOW :])) / WINDOW
    gap = sum(h["gap"] for h in halves[0]) / WINDOW
    return late - early < tolerance + 2 * error and gap < NEAR * tolerance


def temperature(step: int, length: float) -> float:
    """Return a temperature that rises from `COLDEST` to 1 over `length` steps, and is 1 afterwards."""
    return min(1.0, COLDEST + (1 - COLDEST) * step / length) if length >= 1 else 1.0


@torch.no_grad()
def look(model: Distribution, target: Target, samples: int, step: int) -> dict[str, float]:
    """Return the state of a run.

    Returns:
        "step"; "elbo", the bound for the untempered target, and its standard "error"; "gap", its distance from log Z as
        estimated by the weights of the same draws; and "width", the largest standard deviation of the draws.
    """
    z, log_q = model._sample(4 * samples, None)
    found = importance(target(z) - log_q)
    return {
        "step": step,
        "elbo": found.elbo.value,
        "error": found.elbo.error,
        "gap": found.log_z.value - found.elbo.value,
        "width": float(z.std(0).max()),
    }


def require_settled(history: list[dict[str, float]]) -> float:
    """Return the factor by which the draws spread in the second half of a run.

    Raises:
        DomainError: They spread during the whole run, by a factor of over a hundred.
    """
    first, middle, last = (history[i]["width"] for i in (0, len(history) // 2, -1))
    if last > 100 * first and last > GROWN * middle:
        raise DomainError(
            f"log_density looks improper: in training the deviation of the draws grew from {first:.3g} to {last:.3g} and did "
            "not settle; if it has a finite integral, start with a larger scale"
        )
    return last / middle


@torch.no_grad()
def require_proper(target: Target, z: Tensor, centre: Tensor | float = 0.0) -> None:
    """Check that a density falls along rays.

    Along a ray to 10^2 ... 10^5 times a draw's distance, a density with a finite integral falls faster than the inverse
    of the distance somewhere, in all but exceptional directions. Points where the density raises an error or is not
    finite count as fallen.

    Args:
        target: Log-density log p.
        z: Draws (B, D).
        centre: Start of the rays, (D,).

    Raises:
        DomainError: It does not fall along a quarter of the rays.
    """
    far = [centre + (z - centre) * reach for reach in (1e2, 1e3, 1e4, 1e5)]
    logs = torch.stack([target.unchecked(points) for points in far])
    # From one radius to the next, ten times larger, p must fall by more than a factor of 10, or else it falls no faster
    # than the inverse of the distance.
    rising = (logs.diff(dim=0) + math.log(10) >= 0).all(0) & logs.isfinite().all(0)
    if float(rising.to(z).mean()) >= 0.25:
        row = int(rising.nonzero()[0])
        place = ", ".join(f"{v:.3g}" for v in far[-1][row].tolist()[:6])
        raise DomainError(
            f"log_density looks improper: along {float(rising.to(z).mean()):.0%} of the directions it does not fall towards "
            f"infinity, for example at [{place}] (unconstrained), so it has no finite integral"
        )
