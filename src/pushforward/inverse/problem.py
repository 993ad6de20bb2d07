"""Inverse problems: a flow of the unknowns of a simulator given its observations, and checks against the simulator itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core import Space
from ..errors import DataError, ShapeError, SpecError
from ..evaluation.intervals import IntervalCalibration, interval_calibration
from ..functional.discrepancy import WIDTHS, Kernels, discrepancy
from ..objectives.inverse_problem import both_ways
from ..posteriors.simulators import Amortised, amortised
from ..systems.inn import INN
from ..systems.spec import Spec
from ..training.random_state import isolated

CPU = torch.device("cpu")
CHUNK = 500_000
"""Number of simulations that run together."""


class Prior(Protocol):
    """Protocol of priors as objects, such as the distributions of torch."""

    def sample(self, shape: tuple[int, ...]) -> Tensor:
        """Return draws of the unknowns, (*shape, D)."""


PriorLike = Prior | Callable[[int], Tensor]
"""A distribution, or a function from a number n to draws (n, D)."""


@dataclass(frozen=True)
class Resimulation:
    """Distance between the observations and those that the simulator makes from draws.

    Args:
        rmse: Root of the mean squared distance |s(x) - y|, in the units of the observations.
        median: Median distance.
        targets: Number of observations.
        draws: Number of draws for each observation.
    """

    rmse: float
    median: float
    targets: int
    draws: int


@dataclass(frozen=True)
class Agreement:
    """Comparison of draws with a sample of rejection, in units of the latter's deviations.

    Args:
        discrepancy: Squared maximum mean discrepancy of the draws and the accepted unknowns.
        noise: The same of two independent halves of the accepted unknowns, all samples having equal size.
        accepted: Number of accepted unknowns in each half.
    """

    discrepancy: float
    noise: float
    accepted: int

    @property
    def ratio(self) -> float:
        """Discrepancy as a multiple of the noise; about 1 if the draws are right."""
        return self.discrepancy / self.noise


@dataclass(frozen=True)
class Inversion:
    """Fitted inverse of a simulator: the distribution of the unknowns x for every observation y.

    Args:
        simulator: Function from unknowns (N, D) to observations (N, M).
        prior: Prior of the unknowns.
        learned: Flow of the unknowns given the observations.
    """

    simulator: Callable[[Tensor], Tensor]
    prior: PriorLike
    learned: Amortised

    def posterior(self, y: Any, n: int = 1000) -> Tensor:
        """Return n draws of the unknowns for each observation: y (*batch, M) -> (n, *batch, D).

        Raises:
            ContextError: The observation has another length.
            DomainError: The observation is not finite.
        """
        return self.learned.sample(n, y)

    def log_prob(self, x: Any, y: Any) -> Tensor:
        """Return the log-density of unknowns given observations, in nats; a bound for a padded network, see `exactness`."""
        return self.learned.log_prob(x, y)

    @torch.no_grad()
    def predict(self, x: Any) -> Tensor:
        """Return the observations that an invertible network predicts for unknowns: (N, D) -> (N, M).

        Raises:
            SpecError: The design is "conditional", or the flow is of another system; neither predicts observations.
        """
        model = self.learned.model
        unknowns = torch.as_tensor(x).to(model.device, model.dtype)
        assert model.context is not None  # noqa: S101
        y = both_ways(model, (unknowns, unknowns.new_zeros(len(unknowns), *model.context.shape))).outputs[0]
        embed: Any = model.embed
        found: Tensor = embed.standardise.inverse(y)[0]
        return found

    def pairs(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return n new unknowns from the prior (n, D) and their observations (n, M)."""
        with isolated(CPU, seed):
            return simulated(self.simulator, self.prior, n)

    def calibration(self, rows: int = 1000, draws: int = 1023, *, seed: int = 1) -> IntervalCalibration:
        """Return the calibration curve over new simulations.

        Args:
            rows: Number of simulations.
            draws: Number of draws from each posterior.
            seed: Seed of the simulations and of the draws; not that of the training.
        """
        x, y = self.pairs(rows, seed)
        return interval_calibration(self.learned.sample, x, y, draws=draws, seed=seed)

    def resimulate(self, y: Any = None, *, rows: int = 1000, draws: int = 100, seed: int = 1) -> Resimulation:
        """Return how far the simulator's results for draws are from the observations.

        Args:
            y: Observations (N, M), or a single one (M,); those of new simulations by default.
            rows: Number of new simulations.
            draws: Number of draws for each observation.
            seed: Seed of the simulations and of the draws.
        """
        targets = self.pairs(rows, seed)[1] if y is None else torch.atleast_2d(torch.as_tensor(y))
        with isolated(CPU, seed):
            x = self.posterior(targets, draws).cpu()
            made = observations(self.simulator, x.flatten(0, 1)).unflatten(0, (draws, len(targets)))
        distance = (made - targets.to(made)).norm(dim=-1)
        return Resimulation(float(distance.square().mean().sqrt()), float(distance.median()), len(targets), draws)

    def rejection(self, y: Any, draws: int = 1_000_000, tolerance: float = 0.02, *, seed: int = 2) -> Tensor:
        """Return the unknowns among draws of the prior whose observations are closer to y than a tolerance, (n, D).

        Raises:
            DataError: No draw is accepted.
        """
        target, found = torch.as_tensor(y), []
        with isolated(CPU, seed):
            for start in range(0, draws, CHUNK):
                x, made = simulated(self.simulator, self.prior, min(CHUNK, draws - start))
                found.append(x[(made - target.to(made)).norm(dim=1) < tolerance])
        kept = torch.cat(found)
        if not len(kept):
            raise DataError(
                f"expected observations within {tolerance:g} of y among {draws:,} draws of the prior, got none; take more "
                "draws or a larger tolerance"
            )
        return kept

    def agreement(
        self,
        y: Any,
        draws: int = 2_000_000,
        tolerance: float = 0.02,
        *,
        kernels: Kernels = WIDTHS,
        seed: int = 2,
    ) -> Agreement:
        """Return how well draws given y agree with two samples of rejection.

        Args:
            y: Observation (M,).
            draws: Number of draws of the prior for each of the two samples.
            tolerance: Largest distance of accepted observations.
            kernels: Kernels of the discrepancy.
            seed: Seed of the first sample; the second has the next one.

        Raises:
            DataError: Fewer than 10 draws are accepted.
        """
        halves = [self.rejection(y, draws, tolerance, seed=seed + i) for i in range(2)]
        size = min(len(half) for half in halves)
        if size < 10:
            raise DataError(f"expected at least 10 accepted draws to compare with, got {size}; take more draws")
        scale = torch.cat(halves).std(0).clamp_min(1e-12)
        with isolated(CPU, seed):
            own = self.posterior(y, size).cpu().to(scale)
        first, second, drawn = (sample[:size].double() / scale.double() for sample in (*halves, own))
        return Agreement(
            float(discrepancy(drawn, first, kernels)), float(discrepancy(first, second, kernels)), accepted=size
        )


def observations(simulator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the checked observations of unknowns (N, D), (N, M).

    Raises:
        ShapeError: The simulator returns another number of rows, or no rows of numbers.
        DataError: An observation is not finite.
    """
    y = torch.as_tensor(simulator(x))
    if y.dim() != 2 or len(y) != len(x):
        raise ShapeError(
            f"expected a simulator that returns one row for each of {len(x)} rows of unknowns, got shape {tuple(y.shape)}"
        )
    bad = ~y.isfinite().all(1)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        values = ", ".join(f"{value:.4g}" for value in x[row].tolist())
        raise DataError(
            f"expected finite observations, got {int(bad.sum())} rows of {len(y)} with NaN or infinity, the first at "
            f"x = ({values})"
        )
    return y


def simulated(simulator: Callable[[Tensor], Tensor], prior: PriorLike, n: int) -> tuple[Tensor, Tensor]:
    """Return n unknowns (n, D) from a prior and their observations (n, M), from torch's random state.

    Raises:
        ShapeError: The prior or the simulator returns other shapes.
        DataError: An observation is not finite.
    """
    x = torch.as_tensor(prior.sample((n,)) if hasattr(prior, "sample") else prior(n))
    if x.dim() != 2 or len(x) != n:
        raise ShapeError(f"expected a prior whose draws have shape ({n}, unknowns), got {tuple(x.shape)}")
    return x, observations(simulator, x)


def fit(
    simulator: Callable[[Tensor], Tensor],
    prior: PriorLike | None = None,
    *,
    design: str = "conditional",
    flow: str | Spec | None = None,
    simulations: int = 50_000,
    noise: float = 0.0,
    space: Space | None = None,
    arguments: dict[str, Any] | None = None,
    **training: Any,
) -> Inversion:
    """Fit the distribution of the unknowns of a simulator given its observations.

    Args:
        simulator: Function from unknowns (N, D) to observations (N, M).
        prior: Distribution of the unknowns, or a function from n to draws (n, D); by default that of the simulator.
        design: Design of the system `inn`: "conditional" (the most accurate one), "discrepancy" or "likelihood".
        flow: Another system with a context, by name or as a spec, instead of the system `inn`.
        simulations: Number of simulations for training.
        noise: Standard deviation of noise that is added to the observations in training, in their units. Without noise
            the unknowns that fit an observation lie on a surface, where their density is infinite and likelihoods grow without
            end.
        space: Space of the unknowns, a `Box` for unknowns with bounds; see `posteriors.amortised`.
        arguments: Other arguments of the system `inn`, such as `{"layers": 8, "hidden": 128}`.
        **training: Arguments of `pushforward.fit`, such as `epochs`, `lr`, `seed` or `progress`.

    Raises:
        SpecError: There is no prior, the noise is negative, or an argument of the system is wrong, such as too few latent
            variables.
        ShapeError: The prior or the simulator returns other shapes.
        DataError: An observation is not finite.
    """
    found: Any = getattr(simulator, "prior", None) if prior is None else prior
    if found is None:
        raise SpecError("expected a prior of the unknowns, because the simulator has no attribute `prior`")
    if noise < 0:
        raise SpecError(f"expected noise >= 0, got {noise}")
    with isolated(CPU, int(training.get("seed", 0))):
        x, y = simulated(simulator, found, simulations)
        y = y + noise * torch.randn_like(y)
    if flow is None:
        flow = INN(features=x.shape[1], context=y.shape[1], **{"design": design, **(arguments or {})})
    elif arguments:
        raise SpecError(
            "expected arguments only for the system inn; give the other system as a spec with its arguments"
        )
    return Inversion(simulator, found, amortised(flow, x, y, space=space, **training))
