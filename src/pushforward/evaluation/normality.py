"""Tests of latent codes against the base distribution N(0, I), which has no free parameter."""

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
    """Statistic of a test, and the probability of a statistic at least as extreme under the null hypothesis."""

    __test__ = False  # keeps pytest from collecting this class, whose name begins with Test

    statistic: float
    p_value: float


@dataclass(frozen=True)
class LatentNormality:
    """Differences of latent codes from independent standard normal numbers, with tests.

    Args:
        rows: Number N of rows.
        quantiles: Standard normal quantiles (Q,), the horizontal axis of the QQ plots.
        sample_quantiles: Quantiles (Q, D) of each dimension.
        band: Half-width (Q,) of the pointwise 95 % band of a sample quantile under the null hypothesis.
        ks: Kolmogorov-Smirnov distances (D,) to N(0, 1), between 0 and 1: the size of the misfit.
        anderson: Anderson-Darling statistics (D,).
        p_values: P-values (D,) of the Anderson-Darling statistics.
        adjusted: The p-values (D,), corrected for D tests by Holm's method.
        radius: Anderson-Darling test of |z|^2 against chi-squared with D degrees of freedom.
        mean_squared_radius: Mean of |z|^2 / D; its expectation is 1 under the null hypothesis.
        correlation: Schott's test that no two dimensions correlate; None if D = 1 or N < 4.
        largest_correlation: Largest |r| of two dimensions, where r is the correlation; 0 if D = 1.
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
        """Number D of dimensions."""
        return len(self.ks)

    @property
    def joint_p_value(self) -> float:
        """Joint p-value of the tests of radius and correlation, min(1, 2 min(p)) by Bonferroni; of the radius only if D = 1."""
        if self.correlation is None:
            return self.radius.p_value
        return min(1.0, 2 * min(self.radius.p_value, self.correlation.p_value))


def latent_normality(latents: Array, *, points: int = 199) -> LatentNormality:
    """Test that the latent codes of held-out rows follow N(0, I), for flows whose base is the standard normal.

    The null hypothesis has no free parameter, so the statistics have their classical distributions, exactly or nearly:

    - Each dimension is tested by the Anderson-Darling statistic A^2, which gives weight to the tails. Its limiting distribution
      is that of Marsaglia and Marsaglia 2004. The p-values are corrected for the number of dimensions (Holm 1979).
    - All dimensions are tested together twice: |z|^2 must follow chi-squared(D), again by A^2, and sum_{i<j} r_ij^2 of the
      correlations r_ij must not be too large (Schott 2005). Schott's mean and variance hold for small and for large D.

    The tests find wrong scales, heavy tails, clusters, correlation and dependence of the sizes |z_i|. They do not find
    dependence that changes no marginal distribution, no correlation and not the radius. With many rows the tests reject even
    for a misfit that is too small to matter; `ks`, `mean_squared_radius` and `largest_correlation` give its size.

    Args:
        latents: Latent codes (N, D) of rows that were not used in training.
        points: Number Q of quantiles to keep; if it is N or more, every value is kept.

    Returns:
        The tests and the data of QQ plots.

    Raises:
        DataError: The array is not two-dimensional, has fewer than 2 rows or no dimension, or a number is not finite.

    References:
        Marsaglia and Marsaglia 2004, Evaluating the Anderson-Darling distribution, J. Stat. Software 9(2).
        Holm 1979, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 65-70.
        Schott 2005, Testing for complete independence in high dimensions, Biometrika 92, 951-956.
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
    # The sample quantile at probability p has nearly the standard deviation sqrt(p (1 - p) / N) / (density at the quantile).
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
    """Return Holm's step-down adjusted p-values.

    Reject the hypotheses whose adjusted p-value is below alpha: then the probability of any false rejection is at most alpha.
    The i-th smallest of n p-values is multiplied by n + 1 - i, and is at least the adjusted p-value before it (Holm 1979).
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def kolmogorov_smirnov(cdf: Tensor) -> Tensor:
    """Return the largest distance of the empirical distribution function from the tested one.

    Args:
        cdf: Values (N, ...) of the tested distribution function at the data, ascending along the rows.
    """
    n = len(cdf)
    steps = torch.arange(n + 1, dtype=cdf.dtype).reshape(-1, *[1] * (cdf.dim() - 1)) / n
    return torch.maximum(steps[1:] - cdf, cdf - steps[:-1]).amax(0)


def anderson(log_cdf: Tensor, log_survival: Tensor) -> Tensor:
    """Return the Anderson-Darling statistic A^2 = -N - (1/N) sum_i (2i - 1) (log F(x_i) + log(1 - F(x_{N+1-i}))).

    It is N int (F_N - F)^2 / (F (1 - F)) dF, where F_N is the empirical distribution function. F_N(x) has the variance
    F (1 - F) / N, so each squared difference is divided by its variance. Differences in the tails thus count as much as
    differences in the middle.

    Args:
        log_cdf: Log F at the data (N, ...), ascending along the rows.
        log_survival: Log (1 - F) at the data, in the same order; given separately, because 1 - F rounds to zero in the tail.
    """
    n = len(log_cdf)
    weights = (2 * torch.arange(n, dtype=log_cdf.dtype) + 1).reshape(-1, *[1] * (log_cdf.dim() - 1)) / n
    return -n - (weights * (log_cdf + log_survival.flip(0))).sum(0)


def anderson_p(statistic: Tensor) -> Tensor:
    """Return P(A^2 > a) in the limit of many rows, a good approximation from N = 10 on.

    The two formulas are fits to the distribution function, one for a < 2 and one for a >= 2, with errors below 2e-6 and 8e-7
    (Marsaglia and Marsaglia 2004, function `adinf`).
    """
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
    """Return Schott's test that no two dimensions correlate, and the largest |r|; None in place of the test if it is undefined.

    Under independence, with n = N - 1, each r_ij^2 has the mean 1 / n, and their sum over the D (D - 1) / 2 pairs has the
    variance D (D - 1) (n - 1) / (n^2 (n + 2)) (Schott 2005). The p-value comes from a chi-squared distribution with
    D (D - 1) / 2 degrees of freedom, to which the sum is shifted and scaled in mean and variance. This distribution is skewed
    for few pairs, as the sum is, and nearly normal for many.
    """
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
