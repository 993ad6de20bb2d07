"""Is the latent what the base says it is? Tests of z ~ N(0, I) with nothing estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class TestResult:
    """A statistic and the probability of one at least as extreme under the null hypothesis."""

    __test__ = False  # not a test case, whatever its name says to pytest

    statistic: float
    p_value: float


@dataclass(frozen=True)
class LatentNormality:
    """How far latent codes are from independent standard normals.

    Args:
        rows: N.
        quantiles: (Q,) standard normal quantiles, the QQ plots' horizontal axis.
        sample_quantiles: (Q, D) quantiles of each dimension.
        band: (Q,) half-width of the pointwise 95 % band of a sample quantile under the null hypothesis.
        ks: (D,) Kolmogorov-Smirnov distances to N(0, 1), between 0 and 1: the size of the misfit.
        anderson: (D,) Anderson-Darling statistics.
        p_values: (D,) of the Anderson-Darling statistics.
        adjusted: (D,) the same, corrected for D tests by Holm.
        radius: Anderson-Darling test of |z|^2 against chi-squared with D degrees of freedom.
        mean_squared_radius: mean of |z|^2 / D; 1 under the null hypothesis.
        correlation: Schott's test that no two dimensions correlate; None when D = 1 or N < 4.
        largest_correlation: the largest |r| of two dimensions; 0 when D = 1.
    """

    rows: int
    quantiles: Array
    sample_quantiles: Array
    band: Array
    ks: Array
    anderson: Array
    p_values: Array
    adjusted: Array
    radius: TestResult
    mean_squared_radius: float
    correlation: TestResult | None
    largest_correlation: float

    @property
    def dimensions(self) -> int:
        """D."""
        return len(self.ks)

    @property
    def joint_p_value(self) -> float:
        """Of the two joint tests together, by Bonferroni: min(1, 2 min(p)); of the radius alone when D = 1."""
        if self.correlation is None:
            return self.radius.p_value
        return min(1.0, 2 * min(self.radius.p_value, self.correlation.p_value))


def latent_normality(latents: Array, *, points: int = 199) -> LatentNormality:
    """Test that latent codes of held-out rows are N(0, I). For flows whose base is the standard normal.

    The null hypothesis has no free parameter, so the classical distributions hold exactly or nearly so:

    - each dimension: Anderson and Darling's A^2, which weighs the tails, with the limiting distribution of
      Marsaglia and Marsaglia 2004 (J. Stat. Software 9(2)); Holm 1979 corrects for the number of dimensions;
    - jointly: |z|^2 ~ chi-squared(D), by A^2 again, and sum_{i<j} r_ij^2 after Schott 2005 (Biometrika 92, 951-956),
      whose mean and variance are those of small and of large D.

    The pair sees wrong scales, heavy tails, clusters, correlation, and dependence of the sizes. It does not see
    dependence that leaves every margin, every correlation and the radius as they should be. With many rows it
    rejects for misfits that do not matter: look at `ks`, `mean_squared_radius` and `largest_correlation`.

    Args:
        latents: (N, D), of rows that were not trained on.
        points: Q, the number of quantiles to keep; at most N, which keeps every value.

    Returns:
        The tests and the data of QQ plots.

    Raises:
        DataError: not two-dimensional, fewer than 2 rows, no dimension, or not finite.
    """
    array = np.asarray(latents, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 1:
        raise DataError(f"expected latents (rows, dimensions) with at least 2 rows, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise DataError("expected finite latents, got NaN or infinity; remove those rows first")
    n, dimensions = array.shape
    points = min(points, n)
    z = torch.from_numpy(array)
    ordered = z.sort(0).values
    statistic = anderson(torch.special.log_ndtr(ordered), torch.special.log_ndtr(-ordered))
    p_values = anderson_p(statistic)
    squared = (z**2).sum(1).sort().values
    radius = anderson(*_log_chi2(squared, dimensions))
    correlation, largest = _correlation(array)
    probabilities = torch.linspace(0, 1, points + 2, dtype=torch.float64)[1:-1]
    quantiles = torch.special.ndtri(probabilities)
    density = torch.exp(-0.5 * quantiles**2) / math.sqrt(2 * math.pi)
    band = 1.96 * (probabilities * (1 - probabilities) / n).sqrt() / density
    return LatentNormality(
        rows=n,
        quantiles=quantiles.numpy(),
        sample_quantiles=np.quantile(array, probabilities.numpy(), axis=0, method="weibull"),
        band=band.numpy(),
        ks=kolmogorov_smirnov(torch.special.ndtr(ordered)).numpy(),
        anderson=statistic.numpy(),
        p_values=p_values.numpy(),
        adjusted=holm(p_values.numpy()),
        radius=TestResult(float(radius), float(anderson_p(radius))),
        mean_squared_radius=float(squared.mean()) / dimensions,
        correlation=correlation,
        largest_correlation=largest,
    )


def holm(p_values: Array) -> Array:
    """Holm's step-down adjusted p-values: rejecting those below alpha keeps the chance of any false one below alpha."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def kolmogorov_smirnov(cdf: Tensor) -> Tensor:
    """Largest distance of the empirical distribution function; cdf (N, ...) ascending along the rows."""
    n = len(cdf)
    steps = torch.arange(n + 1, dtype=cdf.dtype).reshape(-1, *[1] * (cdf.dim() - 1)) / n
    return torch.maximum(steps[1:] - cdf, cdf - steps[:-1]).amax(0)


def anderson(log_cdf: Tensor, log_survival: Tensor) -> Tensor:
    """A^2 = -N - (1/N) sum_i (2i - 1) (log F(x_i) + log(1 - F(x_{N+1-i}))), rows ascending."""
    n = len(log_cdf)
    weights = (2 * torch.arange(n, dtype=log_cdf.dtype) + 1).reshape(-1, *[1] * (log_cdf.dim() - 1)) / n
    return -n - (weights * (log_cdf + log_survival.flip(0))).sum(0)


def anderson_p(statistic: Tensor) -> Tensor:
    """P(A^2 > a) in the limit N -> infinity, which N = 10 is near; Marsaglia and Marsaglia 2004, `adinf`."""
    a = statistic.clamp(min=1e-3)
    lower = (0.0347962 - (0.011672 - 0.00168691 * a) * a) * a
    lower = 2.00012 + (0.247105 - (0.0649821 - lower) * a) * a
    small = 1 - torch.exp(-1.2337141 / a) / a.sqrt() * lower
    upper = (0.082433 - (0.008056 - 0.0003146 * a) * a) * a
    large = -torch.expm1(-torch.exp(1.0776 - (2.30695 - (0.43424 - upper) * a) * a))
    return torch.where(a < 2, small, large).clamp(0, 1)


def _log_chi2(x: Tensor, degrees: int) -> tuple[Tensor, Tensor]:
    half = torch.full_like(x, degrees / 2)
    tiny = torch.finfo(x.dtype).tiny
    lower = torch.special.gammainc(half, x / 2).clamp(min=tiny).log()
    return lower, torch.special.gammaincc(half, x / 2).clamp(min=tiny).log()


def _correlation(array: Array) -> tuple[TestResult | None, float]:
    """Schott's test, as a chi-squared with D (D - 1) / 2 degrees of freedom matched in mean and variance."""
    rows, d = array.shape
    if d == 1 or rows < 4:
        return None, 0.0
    centred = array - array.mean(0)
    scale = np.sqrt((centred**2).sum(0))
    unit = centred / np.where(scale > 0, scale, 1.0)
    r = (unit.T @ unit)[np.triu_indices(d, 1)]
    n, pairs = rows - 1, d * (d - 1) / 2
    spread = math.sqrt(d * (d - 1) * (n - 1) / (n**2 * (n + 2)))
    standard = (float((r**2).sum()) - pairs / n) / spread
    matched = max(pairs + math.sqrt(2 * pairs) * standard, 0.0)
    p_value = torch.special.gammaincc(torch.tensor(pairs / 2).double(), torch.tensor(matched / 2).double())
    return TestResult(standard, float(p_value)), float(np.abs(r).max())
