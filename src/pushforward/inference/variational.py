"""`fit`: a flow for an unnormalised density, with the numbers that say whether to trust it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution

from ..core import Chain, Distribution, Flow, Real, Space, Spec
from ..distributions.boundary import space_of
from ..errors import ShapeError, SpecError, suggestion
from ..objectives.divergence import DIVERGENCES, Divergence, PathGradient
from ..training.rng import isolated
from ..transforms import Reshape
from .coverage import Coverage, coverage
from .optimise import climb, fits, gaussian, require_proper, require_settled, shaped, train, with_langevin
from .target import ONLY, Target, Values
from .verdict import verdict
from .weights import Importance, Number, importance, resample

Objective = Literal["reverse-kl", "path", "iwae", "forward-kl"]
CHAINS = 4
"""Into so many the draws are parted, as programs that read draws expect."""


@dataclasses.dataclass
class Fit:
    """A fitted approximation q of a density p, and what its importance weights and short chains say of it.

    Args:
        model: q on unconstrained vectors.
        target: log p there, and the bijections.
        elbo: E log p - log q, at most log Z.
        log_z: log of the integral of p, by importance sampling.
        ess: effective share of the draws, in (0, 1].
        k_hat: tail shape of the weights; above .7, trust nothing that comes of the weights.
        draws: of p, by importance resampling: arrays (chains, draws, *shape) by name, for
            `arviz.from_dict({"posterior": draws})`, or without a group's name before its version 1.
        log_weights: (N,) of the draws that the numbers are made of, smoothed; the weights add up to one.
        coverage: what short chains found; None when none were run.
        growth: how much the draws spread in the second half of training.
        history: "step", "elbo" and "width" (the largest deviation of the draws) at some steps.
        verdict: one sentence: whether to trust it, and why.
    """

    model: Flow
    target: Target
    elbo: Number
    log_z: Number
    ess: float
    k_hat: float
    draws: dict[str, Any]
    log_weights: Tensor
    coverage: Coverage | None
    growth: float
    history: list[dict[str, float]]
    verdict: str

    @property
    def trustworthy(self) -> bool:
        """Whether nothing speaks against it."""
        return self.verdict.startswith("Trust it")

    def sample(self, count: int) -> Tensor | Values:
        """Draws of q itself, (count, *shape), or a dict of them: fast, and as wrong as q is."""
        with torch.no_grad():
            values, _ = self.target.constrain(self.model.sample(count))
        return values if self.target.named else values[ONLY]

    def log_prob(self, values: Tensor | Values) -> Tensor:
        """log q of parameters, (B,) nats; a bound where the model has stochastic layers."""
        z = self.target.unconstrain(values if isinstance(values, dict) else {ONLY: values})
        return self.model.log_prob(z) - self.target.constrain(z)[1]

    @property
    def distribution(self) -> Flow:
        """q on the space of the parameters, a flow like any other; `distribution.at()` is one of torch's distributions.

        Raises:
            SpecError: the parameters have names, and so no common space.
        """
        if self.target.named:
            raise SpecError("expected parameters in one space, got named ones; use `sample` and `log_prob`, or `model`")
        line = self.target.maps[0]
        return Flow(
            Chain(line, Reshape(Real(line.z_space.shape), (self.target.features,)), self.model.chain), self.model.base
        )

    def __str__(self) -> str:
        """The numbers, one a line, and the verdict."""
        return (
            f"elbo   {self.elbo}\nlog Z  {self.log_z}\ness    {self.ess:.3f} of the draws\n"
            f"k-hat  {self.k_hat:.2f}\n{self.verdict}"
        )


def fit(
    log_density: Callable[[Any], Tensor] | TorchDistribution,
    space: Space | Mapping[str, Space] | None = None,
    *,
    flow: str | Spec | Flow = "nsf",
    layers: int | None = None,
    objective: Objective | Callable[[Distribution, Target], Divergence] = "reverse-kl",
    steps: int = 3000,
    samples: int = 256,
    lr: float = 5e-3,
    anneal: float = 0.3,
    start: Literal["gaussian", "wide"] = "gaussian",
    scale: float = 1.0,
    langevin: int = 0,
    restarts: int = 1,
    draws: int = 4000,
    chains: int = 128,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Fit:
    """Fit a flow to an unnormalised density, and judge the result.

    A search and then a Gaussian find where the mass is and how wide; then the flow, behind it, is trained with all of it.

    Args:
        log_density: log p of the parameters without its constant: a batch (B, *shape) of points, or a dict of such batches
            by name, to (B,) nats, computed by torch; or a distribution of torch's.
        space: where the parameters live: `Real`, `Box` (positive numbers are a box with one bound), `Simplex`; or a dict
            of spaces by name. A distribution has its own.
        flow: name of a system, a `Spec`, or a flow of your own on `Real((D,))`, D the number of unconstrained parameters,
            which is then trained as it is; with restarts, copies of it are.
        layers: of a flow given by its name.
        objective: "reverse-kl"; "path", the same with a gradient of less variance, for exact flows; "iwae", which covers
            more; "forward-kl", on importance-weighted draws; or a function of model and target that makes a `Divergence`.
        steps: of the optimiser.
        samples: draws of a step.
        lr: learning rate of Adam; it falls to zero along a cosine.
        anneal: share of the steps over which log p is multiplied by a temperature that rises from .01 to 1.
        start: "gaussian" fits one for a quarter of the steps first; "wide" starts at a standard normal times `scale`.
        scale: deviation of the start.
        langevin: number of annealed Langevin layers after the flow (a stochastic normalizing flow), trained along.
        restarts: independent runs, of which the one with the largest evidence bound is kept.
        draws: kept in `Fit.draws`, a multiple of 4; the weights are those of four times as many.
        chains: of the check for missed modes; 0 for none.
        seed: of everything random; torch's random state is the same after as before.
        dtype: of the model; torch's default by default.

    Raises:
        SpecError: an option is unknown or out of range, or the flow does not fit the parameters.
        ShapeError: the log-density does not give one number for each point.
        DomainError: it has no gradient, gives a number that is not finite (with the first such point), or is improper.
    """
    _check(steps=steps, samples=samples, restarts=restarts, layers=1 if layers is None else layers)
    if draws < 4 * CHAINS or draws % CHAINS or langevin < 0 or chains < 0 or not 0 <= anneal <= 1 or not scale > 0:
        raise SpecError(
            f"expected draws a multiple of {CHAINS}, langevin and chains >= 0, anneal in [0, 1] and scale > 0, got {draws}, "
            f"{langevin}, {chains}, {anneal} and {scale}"
        )
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if isinstance(log_density, TorchDistribution):
        given = log_density
        if given.batch_shape:
            raise ShapeError(f"expected a distribution of one event, got a batch of them, {tuple(given.batch_shape)}")
        space = space_of(given.support, tuple(given.event_shape)) if space is None else space  # type: ignore[arg-type]
        log_density = given.log_prob
    if space is None:
        raise SpecError("expected the space of the parameters, or a dict of spaces by name, got none")
    target = Target(log_density, space).to(dtype)
    make = _objective(objective)
    runs = []
    for run in range(restarts):
        with isolated(torch.device("cpu"), seed + run):
            require_proper(target, scale * torch.randn(64, target.features, dtype=dtype))
            mean = climb(target, scale, dtype) if start == "gaussian" else None
            wide = gaussian(target.features, scale, mean).to(dtype)
            if isinstance(flow, Flow):
                fits(flow, target.features)
                model = flow if restarts == 1 else copy.deepcopy(flow)
            else:
                first = copy.deepcopy(wide)
                if start == "gaussian":
                    divergence = PathGradient(first, target)
                    train(divergence, target, steps=max(1, steps // 4), samples=samples, lr=4 * lr, anneal=anneal)
                model = shaped(flow, layers, first)
            if langevin:
                model = with_langevin(model, wide, target, langevin).to(dtype)
            history = train(make(model, target), target, steps=steps, samples=samples, lr=lr, anneal=anneal)
            runs.append((model, history, *_weighed(model, target, 4 * draws)))
    model, history, z, weights = max(runs, key=lambda run: run[3].elbo.value)
    growth = require_settled(history)
    require_proper(target, z[:256])
    with isolated(torch.device("cpu"), seed):
        found = coverage(model, target.unchecked, weights.log_z.value, chains=chains) if chains else None
        kept, _ = target.constrain(z[resample(weights.log_weights, draws)])
    return Fit(
        model=model,
        target=target,
        elbo=weights.elbo,
        log_z=weights.log_z,
        ess=weights.ess,
        k_hat=weights.k_hat,
        draws={name: v.reshape(CHAINS, -1, *v.shape[1:]).numpy() for name, v in kept.items()},
        log_weights=weights.log_weights,
        coverage=found,
        growth=growth,
        history=history,
        verdict=verdict(weights.k_hat, weights.ess, found, growth),
    )


@torch.no_grad()
def _weighed(model: Flow, target: Target, count: int) -> tuple[Tensor, Importance]:
    """Draws and what their weights say."""
    z, log_q = model._sample(count, None)
    return z, importance(target(z) - log_q)


def _objective(objective: Any) -> Callable[[Distribution, Target], Divergence]:
    if callable(objective):
        return objective
    if objective not in DIVERGENCES:
        raise SpecError(f"unknown objective {objective!r}; {suggestion(str(objective), sorted(DIVERGENCES), 'known:')}")
    return DIVERGENCES[objective]


def _check(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise SpecError(f"expected {name} >= 1, got {value}")
