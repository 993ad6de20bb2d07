"""Calibration of posteriors: tests of their place and width by the ranks of true parameters among draws, over simulations.

Draw (theta, x) from prior and simulator, and theta_1 ... theta_L from the posterior given x. If the posterior is right, theta
is one more draw from it. Hence for any function f

    r = #{l: f(theta_l, x) < f(theta, x)}    is uniform on 0 ... L.

Simulation-based calibration uses the coordinates of theta as f (Talts et al. 2018, arXiv:1804.06788, theorem 1). TARP uses the
distance to a reference point (Lemos et al. 2023, arXiv:2302.03026, theorem 3). Both tests need only a function that draws from
the posterior, and no density.
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
"""Function that maps n and x (B, *data) to n draws from the posterior of each row, (n, B, D), such as `Amortised.sample`."""
LEVEL = 0.01
"""Adjusted p-value below which the posterior is called not calibrated."""
CHUNK = 64
"""Number of rows whose posteriors are sampled in one call."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of true parameters among posterior draws, and whether they are uniform.

    Args:
        ranks: Whole numbers (N, K) in 0 ... L; ties are broken at random.
        draws: Number L of draws from each posterior.
        ks: Kolmogorov-Smirnov distances (K,) to the uniform distribution: the size of the misfit.
        p_values: P-values (K,) of Anderson-Darling tests. These tests give weight to the lowest and the highest ranks, where
            posteriors of a wrong width differ most.
        adjusted: The p-values (K,), corrected for K tests by Holm's method.
    """

    ranks: Array
    draws: int
    ks: Array
    p_values: Array
    adjusted: Array

    @property
    def calibrated(self) -> bool:
        """Whether no test rejects that the ranks are uniform."""
        return float(self.adjusted.min()) >= LEVEL

    def histogram(self, bins: int = 20) -> Array:
        """Return the counts (bins, K) of the ranks; uniform ranks give N / bins each on average if `bins` divides L + 1."""
        cells = self.ranks * bins // (self.draws + 1)
        return np.stack([np.bincount(column, minlength=bins) for column in cells.T], axis=1)

    def __str__(self) -> str:
        """Return the verdict as one sentence."""
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
    """Shares of simulations whose credible regions of each level contain the true parameters.

    The credible region of a level is a ball around the reference point that contains this share of the draws.

    Args:
        levels: Levels (101,) from 0 to 1.
        coverage: Shares (101,) of the simulations whose region of that level contains the true parameters; equal to the levels
            for the right posterior.
        simulations: Number N of simulations.
        draws: Number L of draws from each posterior.
        p_value: P-value of an Anderson-Darling test of the hypothesis that coverage equals the level.
    """

    levels: Array
    coverage: Array
    simulations: int
    draws: int
    p_value: float

    @property
    def calibrated(self) -> bool:
        """Whether the test does not reject that coverage equals the level."""
        return self.p_value >= LEVEL

    @property
    def largest_gap(self) -> float:
        """Difference of coverage and level that is largest in size, with its sign."""
        gap = self.coverage - self.levels
        return float(gap[np.abs(gap).argmax()])

    def __str__(self) -> str:
        """Return the verdict as one sentence."""
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
    """Run simulation-based calibration: rank the true parameters among posterior draws, and test that ranks are uniform.

    Ranks are uniform for the right posterior. The converse does not hold: a posterior that ignores x and equals the prior also
    has uniform ranks. The ranks of a quantity that depends on x as well, such as the log-likelihood, show this error (Modrak et
    al. 2023, arXiv:2211.02383). So does `tarp`.

    Args:
        draw: Function that draws from posteriors: (n, x (B, *data)) -> (n, B, D), such as `Amortised.sample`.
        theta: True parameters (N, D), drawn from the prior and not used in training.
        x: Data (N, *data), simulated with each row of theta.
        draws: Number L of draws from each posterior. Histograms can have any number of bins that divides L + 1.
        of: Function whose values are ranked: it maps parameters (*batch, D) and data (*batch, *data) to (*batch, K). By default
            the parameters themselves are ranked.
        seed: Seed of the draws in torch; the random state of torch is restored afterwards.

    Returns:
        The ranks of D parameters or K quantities, with their tests.

    Raises:
        DataError: There are fewer than 10 rows, or a number in the data or among the draws is not finite.
        ShapeError: The shape of theta is not (N, D), x has another number of rows, or the draws have another shape.
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
    """Run TARP, tests of accuracy with random points: expected coverage of balls around reference points.

    The test looks at all parameters together. A right posterior has coverage equal to the level. If the references may depend
    on x, the converse holds as well (Lemos et al. 2023, arXiv:2302.03026, theorem 3). Distances are Euclidean, in standard
    deviations of the true parameters. Few rows are enough to find a wrong width. A small shift needs many rows, because its
    effects cancel over references on all sides of a posterior; `sbc_ranks` finds shifts sooner.

    Args:
        draw: Function that draws from posteriors, see `sbc_ranks`.
        theta: True parameters (N, D), drawn from the prior and not used in training.
        x: Data (N, *data), simulated with each row of theta.
        draws: Number L of draws from each posterior.
        references: Reference points. "nearest" takes the true parameters of the earlier row whose data are nearest, so they
            depend on x, as the theorem requires. "uniform" takes random points in the range of the parameters, as the code of
            the paper does. A tensor (N, D) gives the points themselves.
        seed: Seed of the draws and the references; the random state of torch is restored afterwards.

    Raises:
        DataError: There are fewer than 10 rows, or a number in the data or among the draws is not finite.
        ShapeError: The shapes do not fit, see `sbc_ranks`, or there is not one reference for each row.
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
    # The region of level a contains the true parameters if a share of the draws below a is nearer to the reference. A rank r
    # of L + 1 possible ones stands for the cell (r, r + 1) / (L + 1); its midpoint is taken.
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
    """Return the ranks (N, K) of the values of `of` at the true parameters among its values at the draws.

    Args:
        draw: Function that draws from posteriors.
        theta: True parameters (N, D).
        x: Data (N, *data).
        draws: Number of draws from each posterior.
        of: Function whose values are ranked.
        given: Second argument of `of` for each row (N, ...); x by default.
    """
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
        # Among e draws that equal the truth, each of the e + 1 places is equally likely. A random place keeps ranks uniform.
        below, equal = (drawn < truth).sum(0), (drawn == truth).sum(0)
        parts.append(below + (torch.rand(equal.shape, device=equal.device) * (equal + 1)).long().clamp_max(equal))
    return torch.cat(parts)


def _tested(ranks: Tensor, draws: int) -> Ranks:
    """Return the ranks with tests that hold for any number of draws.

    A rank r that is uniform on 0 ... L, plus uniform noise u on (0, 1), gives (r + u) / (L + 1), which is uniform on (0, 1).
    Tests of continuous distributions can therefore be used, however few draws there are.
    """
    noise = torch.rand(ranks.shape, dtype=torch.float64, device=ranks.device)
    u = ((ranks + noise) / (draws + 1)).cpu().sort(0).values.clamp(1e-12, 1 - 1e-12)
    p_values = anderson_p(anderson(u.log(), torch.log1p(-u))).numpy()
    return Ranks(ranks.cpu().numpy(), draws, kolmogorov_smirnov(u).numpy(), p_values, holm(p_values))


def _nearest(x: Tensor, theta: Tensor) -> Tensor:
    """Return for each row the parameters of the earlier row whose data are nearest; zeros for the first row.

    Distances are in standard deviations of the data. Only earlier rows are used: otherwise two rows that are nearest to each
    other would give the same distance twice. The ranks would then be dependent, and tests that assume independent ranks would
    reject too often.
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
    """Return the fault of posteriors whose ranks, scaled to (0, 1), are not uniform: their place or their width.

    Uniform numbers have mean 1/2 and variance 1/12. Both deviations are measured in their standard errors, and the larger one
    names the fault. A high mean of the ranks means that the posteriors are too low; a high variance that they are too narrow.
    """
    n = len(u)
    mean = (u.mean() - 0.5) * math.sqrt(12 * n)
    # A uniform number on (0, 1) has the fourth central moment 1/80 and the variance 1/12. The mean of n squares therefore has
    # the variance (1/80 - 1/12^2) / n = 1 / (180 n).
    spread = (np.square(u - 0.5).mean() - 1 / 12) * math.sqrt(n * 180)
    if abs(mean) > abs(spread):
        return "too low" if mean > 0 else "too high"
    return "too narrow" if spread > 0 else "too wide"
