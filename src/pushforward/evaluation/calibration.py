"""Are posteriors as wide as they say, and in the right place? Ranks of the truth among draws, over many simulations.

With (theta, x) from prior and simulator and theta_1 ... theta_L from the posterior given x, theta is one more draw from the
same posterior, so that for any function f

    r = #{l: f(theta_l, x) < f(theta, x)}    is uniform on 0 ... L.

Simulation-based calibration takes the coordinates for f (Talts et al. 2018, arXiv:1804.06788, theorem 1), TARP the distance
to a reference point (Lemos et al. 2023, arXiv:2302.03026, theorem 3). Both test a callable that draws, whatever is behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError, ShapeError
from ..training.random_state import isolated
from .normality import Array, anderson, anderson_p, holm, kolmogorov_smirnov

Draw = Callable[[int, Tensor], Tensor]
"""(n, x (B, *data)) -> n draws of the posterior given each row, (n, B, D): `Amortised.sample` is one."""
LEVEL = 0.01
"""Adjusted p-value below which a verdict is that something is wrong."""
CHUNK = 64
"""Rows whose posteriors are drawn from together."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of true parameters among posterior draws, and whether they are uniform.

    Args:
        ranks: (N, K) whole numbers in 0 ... L, ties broken at random.
        draws: L.
        ks: (K,) Kolmogorov-Smirnov distances to uniform: the size of the misfit.
        p_values: (K,) of Anderson-Darling tests, which weigh the ends, where wrong widths show.
        adjusted: (K,) the same, corrected for K tests by Holm.
    """

    ranks: Array
    draws: int
    ks: Array
    p_values: Array
    adjusted: Array

    @property
    def calibrated(self) -> bool:
        """Whether no test rejects."""
        return float(self.adjusted.min()) >= LEVEL

    def histogram(self, bins: int = 20) -> Array:
        """Counts (bins, K) of the ranks; exactly N / bins each in the mean where `bins` divides L + 1."""
        cells = self.ranks * bins // (self.draws + 1)
        return np.stack([np.bincount(column, minlength=bins) for column in cells.T], axis=1)

    def __str__(self) -> str:
        """One sentence."""
        worst = int(self.adjusted.argmin())
        p = f"p {self.adjusted[worst]:.2g}"
        size = f"{len(self.ranks)} ranks among {self.draws} draws"
        if self.calibrated:
            return f"No fault found in {size}: the smallest {p}, of parameter {worst}."
        return f"Not calibrated, by {size}: posteriors of parameter {worst} are {_fault(self._uniform(worst))} ({p})."

    def _uniform(self, column: int) -> Array:
        return (self.ranks[:, column] + 0.5) / (self.draws + 1)


@dataclass(frozen=True)
class ExpectedCoverage:
    """How often credible regions of each level hold the true parameters.

    Args:
        levels: (101,) from 0 to 1.
        coverage: (101,) shares of the simulations whose region of that level holds the truth; equal to the levels when all
            is right. The regions are what is nearer to the reference point than a share of the draws.
        simulations: N.
        draws: L.
        p_value: that all is right, by an Anderson-Darling test.
    """

    levels: Array
    coverage: Array
    simulations: int
    draws: int
    p_value: float

    @property
    def calibrated(self) -> bool:
        """Whether the test does not reject."""
        return self.p_value >= LEVEL

    @property
    def largest_gap(self) -> float:
        """Between coverage and level, with its sign."""
        gap = self.coverage - self.levels
        return float(gap[np.abs(gap).argmax()])

    def __str__(self) -> str:
        """One sentence."""
        at = self.levels[np.abs(self.coverage - self.levels).argmax()]
        found = "No fault found" if self.calibrated else "Not calibrated"
        return (
            f"{found}: over {self.simulations} simulations with {self.draws} draws each, coverage is off by "
            f"{self.largest_gap:+.3f} at worst, at level {at:.2f} (p {self.p_value:.2g})."
        )


def sbc_ranks(
    draw: Draw,
    theta: Any,
    x: Any,
    *,
    draws: int = 99,
    of: Callable[[Tensor, Tensor], Tensor] | None = None,
    seed: int = 0,
) -> Ranks:
    """Simulation-based calibration: ranks of the true parameters, which are uniform for the right posterior.

    The converse does not hold: posteriors that ignore x and repeat the prior pass. A quantity that depends on x too, such
    as the log-likelihood, finds them (Modrak et al. 2023, arXiv:2211.02383); so does `tarp`.

    Args:
        draw: Function that draws from posteriors: (n, x (B, *data)) -> (n, B, D), such as `Amortised.sample`.
        theta: (N, D) true parameters, drawn from the prior and not trained on.
        x: (N, *data) what was simulated with each.
        draws: L, of each posterior; L + 1 with many divisors suits histograms.
        of: Function whose values are ranked: (*batch, D) parameters and (*batch, *data) -> (*batch, K); the parameters
            themselves by default.
        seed: Seed of torch's draws; torch's random state is the same after as before.

    Returns:
        The ranks, of D parameters or K quantities, and tests.

    Raises:
        DataError: fewer than 10 rows, or a number that is not finite, also among the draws.
        ShapeError: theta is no array of vectors, or there is not one row of it for each of x, or draws have another shape.
    """
    theta, x = _checked(theta, x, draws)
    with isolated(x.device, seed):
        return _tested(_ranks(draw, theta, x, draws, of or (lambda parameters, _: parameters)), draws)


def tarp(
    draw: Draw,
    theta: Any,
    x: Any,
    *,
    draws: int = 99,
    references: Literal["nearest", "uniform"] | Tensor = "nearest",
    seed: int = 0,
) -> ExpectedCoverage:
    """Tests of accuracy with random points: expected coverage of balls around references, in all parameters together.

    Coverage equal to the level is necessary, and with references that may depend on x sufficient (Lemos et al. 2023,
    arXiv:2302.03026, theorem 3).
    Distances are Euclidean, in deviations of the true parameters. Wrong widths show soon, small shifts only with many rows:
    around references on all sides of a posterior they cancel, and `sbc_ranks` sees them better.

    Args:
        draw: Function that draws from posteriors, see `sbc_ranks`.
        theta: (N, D) true parameters, drawn from the prior and not trained on.
        x: (N, *data) what was simulated with each.
        draws: L, of each posterior.
        references: "nearest": the true parameters of that earlier row whose data are nearest, which depend on x as they
            should; "uniform": random points in the range of the parameters, as in the paper's code; or (N, D).
        seed: Seed of the draws and references; torch's random state is the same after as before.

    Raises:
        DataError: The arguments do not fit together, see `sbc_ranks`.
        ShapeError: likewise, or there is not one reference for each row.
    """
    theta, x = _checked(theta, x, draws)
    scale = theta.std(0)
    scale = torch.where(scale > 0, scale, 1.0)
    with isolated(x.device, seed):
        if isinstance(references, Tensor):
            points = references.to(theta)
        elif references == "uniform":
            points = theta.amin(0) + (theta.amax(0) - theta.amin(0)) * torch.rand_like(theta)
        else:
            points = _nearest(x, theta)
        if points.shape != theta.shape:
            raise ShapeError(f"expected references of shape {tuple(theta.shape)}, got {tuple(points.shape)}")

        def distance(parameters: Tensor, around: Tensor) -> Tensor:
            return ((parameters - around) / scale).norm(dim=-1, keepdim=True)

        found = _tested(_ranks(draw, theta, x, draws, distance, points), draws)
    levels = np.linspace(0, 1, 101)
    # A region of level a holds the truth when fewer than a share a of the draws are nearer; ranks are spread over their cells.
    share = np.sort((found.ranks[:, 0] + 0.5) / (draws + 1))
    coverage = np.searchsorted(share, levels, side="right") / len(theta)
    return ExpectedCoverage(levels, coverage, len(theta), draws, float(found.p_values[0]))


def _checked(theta: Any, x: Any, draws: int) -> tuple[Tensor, Tensor]:
    theta, x = torch.as_tensor(theta), torch.as_tensor(x)
    if theta.dim() != 2 or x.dim() < 1 or len(theta) != len(x):
        raise ShapeError(
            f"expected theta (rows, parameters) and x (rows, ...), got shapes {tuple(theta.shape)} and {tuple(x.shape)}"
        )
    if len(theta) < 10 or draws < 1:
        raise DataError(f"expected at least 10 rows and a draw, got {len(theta)} rows and draws={draws}")
    for name, values in (("theta", theta), ("x", x)):
        bad = ~values.isfinite().flatten(1).all(1)
        if bool(bad.any()):
            raise DataError(f"expected finite values, got NaN or infinity in row {int(bad.nonzero()[0])} of {name}")
    return theta, x


@torch.no_grad()
def _ranks(
    draw: Draw,
    theta: Tensor,
    x: Tensor,
    draws: int,
    of: Callable[[Tensor, Tensor], Tensor],
    given: Tensor | None = None,
) -> Tensor:
    """(N, K) ranks of `of` at the truth among `draws` of it, given x or something else for each row."""
    given, parts = x if given is None else given, []
    for start in range(0, len(theta), CHUNK):
        rows = slice(start, start + CHUNK)
        made = draw(draws, x[rows]).to(theta)
        if made.shape != (draws, *theta[rows].shape):
            raise ShapeError(f"expected draws of shape {(draws, *theta[rows].shape)}, got {tuple(made.shape)}")
        if not bool(made.isfinite().all()):
            raise DataError(f"expected finite draws, got NaN or infinity given a row from {start} on of x")
        drawn = of(made, given[rows].expand(draws, *given[rows].shape))
        truth = of(theta[rows], given[rows])
        below, equal = (drawn < truth).sum(0), (drawn == truth).sum(0)
        parts.append(below + (torch.rand(equal.shape, device=equal.device) * (equal + 1)).long().clamp_max(equal))
    return torch.cat(parts)


def _tested(ranks: Tensor, draws: int) -> Ranks:
    """Tests that are exact for any number of draws: ranks with uniform noise in their cells are uniform on (0, 1)."""
    noise = torch.rand(ranks.shape, dtype=torch.float64, device=ranks.device)
    u = ((ranks + noise) / (draws + 1)).cpu().sort(0).values.clamp(1e-12, 1 - 1e-12)
    p_values = anderson_p(anderson(u.log(), torch.log1p(-u))).numpy()
    return Ranks(ranks.cpu().numpy(), draws, kolmogorov_smirnov(u).numpy(), p_values, holm(p_values))


def _nearest(x: Tensor, theta: Tensor) -> Tensor:
    """For each row the parameters of the earlier one whose data are nearest, in deviations of the data; zeros for the first.

    Were later rows taken too, two that are nearest to each other would give the same distance twice, and tests that expect
    independent ranks would reject too often.
    """
    flat = x.flatten(1).double()
    spread = flat.std(0)
    flat, found = flat / torch.where(spread > 0, spread, 1.0), []
    number = torch.arange(len(flat), device=x.device)
    for rows in number.split(1024):
        distance = torch.cdist(flat[rows], flat).masked_fill_(number >= rows[:, None], math.inf)
        found.append(distance.argmin(1))
    points = theta[torch.cat(found)]
    points[0] = 0.0
    return points


def _fault(u: Array) -> str:
    """What uniform numbers that are none say of posteriors: their mean is 1/2 and their variance 1/12 when all is right."""
    n = len(u)
    mean = (u.mean() - 0.5) * math.sqrt(12 * n)
    # The fourth central moment of a uniform is 1/80, so the variance's own variance is (1/80 - 1/144) / n.
    spread = (np.square(u - 0.5).mean() - 1 / 12) * math.sqrt(n * 180)
    if abs(mean) > abs(spread):
        return "too low" if mean > 0 else "too high"
    return "too narrow" if spread > 0 else "too wide"
