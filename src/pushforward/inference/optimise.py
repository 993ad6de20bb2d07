"""What `fit` puts together and trains: a Gaussian start, the flow behind it, stochastic layers after it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Chain, Distribution, Flow, Inverse, Real, Spec, layers_of, spec_from_dict
from ..distributions import ConditionalNormal, Normal
from ..errors import DomainError, ShapeError, SpecError, TrainingError
from ..networks import head
from ..objectives.divergence import Divergence
from ..systems.nsf import NSF
from ..transforms import Annealed, Cholesky, Schedule, Temperature, hamiltonian
from .target import Target
from .verdict import GROWN

CHECKS = 20
"""How often a run looks at itself."""
COLDEST = 0.01
"""The temperature that annealing starts from."""
CLIP = 20.0
"""Largest norm of a gradient, in running means of it."""


def gaussian(features: int, scale: float, mean: Tensor | None = None) -> Flow:
    """A Gaussian of free mean and covariance, which starts with deviation `scale`."""
    space = Real((features,))
    step = Cholesky(space)
    with torch.no_grad():
        if mean is not None:
            step.parameters_of.free[:, 0] = mean
        step.parameters_of.free[:, 1:].fill_diagonal_(math.log(scale))
    return Flow(Inverse(step), Normal(space))


def climb(target: Target, scale: float, dtype: torch.dtype, draws: int = 64) -> Tensor:
    """The mean of a Gaussian of deviation `scale` at which the mean of log p is largest: (D,), by L-BFGS on fixed draws.

    Steps of a stochastic optimiser are of about the learning rate, whatever the units; this one's are not, so that a posterior
    is found wherever it lies.
    """
    noise = scale * torch.randn(draws, target.features, dtype=dtype)
    mean = torch.zeros(target.features, dtype=dtype, requires_grad=True)
    search = torch.optim.LBFGS([mean], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        total = target.unchecked(mean + noise)
        # A trial step may go too far: what is not finite there is very bad.
        worst = -torch.where(total.isfinite(), total, -1e10).mean()
        if worst.requires_grad:
            worst.backward()
        return worst

    start = float(loss().detach())
    search.step(loss)
    found = mean.detach()
    if not bool(found.isfinite().all()) or not float(loss().detach()) <= start:
        return torch.zeros_like(found)
    return found


def behind(flow: Flow, start: Flow) -> Flow:
    """The flow carried on by the start's map: where the start has found the mass, the flow finds its shape."""
    return Flow(Chain(start.chain, *layers_of(flow.chain)), flow.base)


def shaped(flow: str | Spec, layers: int | None, start: Flow) -> Flow:
    """The flow that a name or a spec stands for, behind the start; the start alone where the name is "gaussian"."""
    if flow == "gaussian":
        return start
    weight = next(start.parameters())
    return behind(built(flow, layers, start.space.size).to(weight.dtype), start)


def built(flow: str | Spec, layers: int | None, features: int) -> Flow:
    """The flow that a name or a spec stands for.

    Raises:
        SpecError: there is none, or it cannot be the approximation of so many parameters.
        ShapeError: its events are not vectors of that length.
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
    """Refuse a model that is not of unconstrained vectors.

    Raises:
        SpecError: it takes a context, or is no flow.
        ShapeError: its events are others.
    """
    if model.space != Real((features,)):
        raise ShapeError(
            f"expected a flow on {Real((features,))}, the unconstrained parameters, got one on {model.space}"
        )
    if not isinstance(model, Flow) or model.context is not None:
        raise SpecError("expected a flow without a context")


def with_langevin(flow: Flow, start: Flow, target: Target, count: int, step: float = 0.1) -> Flow:
    """The flow, then Langevin layers, annealed from a start to the target (Wu, Koehler, Noe 2020, arXiv:2002.06707).

    The guess of the momenta on the way back is learned (Doucet et al. 2022, arXiv:2208.07698), a standard normal at first.

    Args:
        flow: whose draws they move.
        start: where annealing starts, wide and exact.
        target: log p.
        count: of layers.
        step: of each, to start with, in the units of the unconstrained parameters.
    """
    gaps = Schedule(count)

    rungs = [Annealed(start._log_prob, target, Temperature(gaps, i)) for i in reversed(range(count))]
    space = Real((target.features,))
    guesses = [ConditionalNormal(space, space.size, net=head(space.size, 2 * space.size, (32,))) for _ in rungs]
    steps = [hamiltonian(rung, space, step=step, reverse=guess) for rung, guess in zip(rungs, guesses, strict=True)]
    return Flow(Chain(*steps, *layers_of(flow.chain)), flow.base)


def train(
    divergence: Divergence, target: Target, *, steps: int, samples: int, lr: float, anneal: float
) -> list[dict[str, float]]:
    """Lower a divergence by Adam with a cosine schedule.

    Returns:
        at some steps: "step", "elbo" of the untempered target, and "width", the largest deviation of the draws.

    Raises:
        DomainError: as `Target` does.
        TrainingError: the gradient was not finite for ten steps in a row.
    """
    theirs = {id(p) for p in target.parameters()}
    parameters = [p for p in divergence.model.parameters() if p.requires_grad and id(p) not in theirs]
    optimiser = torch.optim.Adam(parameters, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    history, mean_norm, bad = [look(divergence.model, target, samples, 0)], 0.0, 0
    divergence.train()
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        divergence(samples, temperature(step, anneal * steps)).backward()
        norm = float(nn.utils.clip_grad_norm_(parameters, CLIP * mean_norm if mean_norm else math.inf))
        if math.isfinite(norm):
            mean_norm, bad = (0.98 * mean_norm + 0.02 * min(norm, CLIP * mean_norm) if mean_norm else norm), 0
            optimiser.step()
        else:
            bad += 1
            if bad == 10:
                raise TrainingError(
                    "the gradient was not finite for ten steps in a row; lower lr, or look at log_density"
                )
        schedule.step()
        if step % max(1, steps // CHECKS) == 0:
            history.append(look(divergence.model, target, samples, step))
    divergence.eval()
    return history


def temperature(step: int, length: float) -> float:
    """From `COLDEST` to 1 over so many steps, and 1 after."""
    return min(1.0, COLDEST + (1 - COLDEST) * step / length) if length >= 1 else 1.0


@torch.no_grad()
def look(model: Distribution, target: Target, samples: int, step: int) -> dict[str, float]:
    """The state of a run."""
    z, log_q = model._sample(4 * samples, None)
    return {"step": step, "elbo": float((target(z) - log_q).mean()), "width": float(z.std(0).max())}


def require_settled(history: list[dict[str, float]]) -> float:
    """How much the draws spread in the second half of a run.

    Raises:
        DomainError: they spread all the time, a hundred times and more in all.
    """
    first, middle, last = (history[i]["width"] for i in (0, len(history) // 2, -1))
    if last > 100 * first and last > GROWN * middle:
        raise DomainError(
            f"log_density looks improper: in training the deviation of the draws grew from {first:.3g} to {last:.3g} and had "
            "not settled; if it has a finite integral, start with a larger scale"
        )
    return last / middle


@torch.no_grad()
def require_proper(target: Target, z: Tensor) -> None:
    """Refuse a density that does not fall along rays.

    Along a ray to a hundred and ten thousand times a draw's distance, a density that can be integrated falls faster than the
    inverse of the distance, in all but exceptional directions.

    Args:
        target: log p.
        z: some draws (B, D).

    Raises:
        DomainError: it does not, along a quarter of the rays.
    """
    far = [z * reach for reach in (1e2, 1e4)]
    logs = [target.unchecked(points) for points in far]
    rising = (logs[1] - logs[0] + math.log(1e2) >= 0) & logs[1].isfinite() & logs[0].isfinite()
    if float(rising.to(z).mean()) >= 0.25:
        row = int(rising.nonzero()[0])
        place = ", ".join(f"{v:.3g}" for v in far[1][row].tolist()[:6])
        raise DomainError(
            f"log_density looks improper: along {float(rising.to(z).mean()):.0%} of the directions it does not fall towards "
            f"infinity, for example at [{place}] (unconstrained), so that it has no finite integral"
        )
