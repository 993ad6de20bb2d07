"""Importance weights: the normalising constant with its error, the effective sample size, and their reliability.

With log w_i = log p(x_i) - log q(x_i) of N draws from q:

    log Z = log 1/N sum w_i,    its error sd(w) / (mean(w) sqrt N),    effective share (sum w)^2 / (N sum w^2)

A few draws with large weights make all three worthless, and the three numbers do not show it. The shape k of a
generalised Pareto distribution fitted to the largest weights does: below .5 the variance of the weights is finite; up to
.7 smoothed weights are still useful; above .7 the mean converges too slowly for any practical N (Vehtari, Simpson,
Gelman, Yao, Gabry 2024, arXiv:1507.02646).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import DataError

EQUAL = 0.01
"""Largest difference of tail weights, in nats, that is taken for rounding: such weights have no tail."""
USABLE = 0.7
"""Largest k for which smoothed weights are useful."""
GOOD = 0.5
"""Largest k for which the weights have a finite variance, so that standard errors are valid."""


@dataclass(frozen=True)
class Number:
    """Estimate with its standard error."""

    value: float
    error: float

    def __float__(self) -> float:
        """Return the estimate."""
        return self.value

    def __str__(self) -> str:
        """Return a text such as "1.8774 ± 0.0012"."""
        return f"{self.value:.4f} ± {self.error:.4f}"


@dataclass(frozen=True)
class Importance:
    """Diagnostics of a set of log-weights.

    Args:
        elbo: Mean of log w over the nonzero weights, plus the log of their share: the bound of the proposal restricted to
            points where p is positive.
        log_z: Log of the mean of w, without smoothing.
        ess: Effective sample size as a share of the draws, in (0, 1].
        k_hat: Shape of the tail of the weights; NaN for fewer than 25 draws, -inf for equal weights.
        log_weights: Smoothed log-weights (N,), normalised so that the weights sum to one.
    """

    elbo: Number
    log_z: Number
    ess: float
    k_hat: float
    log_weights: Tensor


def importance(log_weights: Tensor) -> Importance:
    """Return the diagnostics of log-weights.

    Args:
        log_weights: Log-weights (N,) in nats; -inf for weights of zero.

    Raises:
        DataError: There are fewer than two log-weights, all weights are zero, or some are NaN or +inf.
    """
    log_w = log_weights.detach().double().cpu().flatten()
    if len(log_w) < 2 or bool((log_w.isnan() | (log_w == math.inf)).any()) or not bool((log_w > -math.inf).any()):
        raise DataError("expected at least two log-weights, all below infinity and not all -inf, got other values")
    n = len(log_w)
    w = (log_w - log_w.max()).exp()
    mean = w.mean()
    finite = log_w[log_w > -math.inf]
    smoothed, k = pareto_smoothed(log_w)
    return Importance(
        elbo=Number(
            float(finite.mean()) + math.log(len(finite) / n),
            float(finite.std() / math.sqrt(n)) if len(finite) > 1 else math.nan,
        ),
        log_z=Number(float(mean.log() + log_w.max()), float(w.std() / mean / math.sqrt(n))),
        ess=float(w.sum().square() / w.square().sum() / n),
        k_hat=k,
        log_weights=smoothed - smoothed.logsumexp(0),
    )


def pareto_smoothed(log_weights: Tensor) -> tuple[Tensor, float]:
    """Return log-weights whose largest values are replaced by quantiles of the fitted Pareto distribution, and its shape.

    The tail consists of the largest min(N / 5, 3 sqrt N) of the N positive weights (Vehtari et al., section 3.2). No
    smoothed weight exceeds the largest original one.

    Args:
        log_weights: Log-weights (N,) in nats, float64.

    Returns:
        Smoothed log-weights (N,) in nats, and the shape k.
    """
    # Weights of zero belong neither to the tail nor to the other weights, whose number determines the tail.
    n = int((log_weights > -math.inf).sum())
    count = min(n // 5, math.ceil(3 * math.sqrt(n)))
    if count < 5:
        return log_weights, math.nan
    order = log_weights.argsort()
    top = log_weights.max()
    below = log_weights[order[-count - 1]] - top
    if float(below) > -EQUAL:
        return log_weights, -math.inf
    cutoff = float(below.exp())
    excess = (log_weights[order[-count:]] - top).exp() - cutoff
    k, scale = fit_pareto(excess.clamp_min(1e-300))
    # The quantile p of the Pareto distribution is s ((1 - p)^-k - 1) / k, with the limit -s log(1 - p) at k = 0.
    at = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    quantiles = scale * torch.expm1(-k * torch.log1p(-at)) / k if abs(k) > 1e-9 else -scale * torch.log1p(-at)
    smoothed = log_weights.clone()
    smoothed[order[-count:]] = ((cutoff + quantiles).log() + top).clamp_max(top)
    return smoothed, k


def fit_pareto(excess: Tensor) -> tuple[float, float]:
    """Return shape k and scale s of a generalised Pareto distribution, P(X > x) = (1 + k x / s)^(-1/k), from its draws.

    This is the estimate of Zhang and Stephens (2009), a posterior mean over a grid of one parameter theta = -k / s. k is
    then moved towards 1/2 with the weight of ten more draws (Vehtari et al., appendix G).

    Args:
        excess: Draws (M,), positive and ascending.
    """
    m = len(excess)
    points = 30 + int(math.sqrt(m))
    quarter = excess[int(m / 4 + 0.5) - 1]
    grid = 1 / excess[-1] + (1 - (points / (torch.arange(points, dtype=excess.dtype) + 0.5)).sqrt()) / (3 * quarter)
    # For a given theta, the likelihood is largest at k = mean log(1 - theta x). With s = -k / theta the log-likelihood is
    # then m (log(-theta / k) - k - 1), and the posterior mean of theta is a softmax over the grid.
    shapes = torch.log1p(-grid[:, None] * excess).mean(1)
    profile = m * ((-grid / shapes).log() - shapes - 1)
    theta = float((profile.softmax(0) * grid).sum())
    k = float(torch.log1p(-theta * excess).mean())
    return (m * k + 5) / (m + 10), -k / theta


def resample(log_weights: Tensor, count: int) -> Tensor:
    """Return row indices (count,) that turn weighted draws into draws of the target, by systematic resampling, shuffled.

    Args:
        log_weights: Log-weights (N,) in nats; the weights sum to one.
        count: Number of draws.
    """
    # Draws that alternate between sources have periodic weights, which would interfere with the equal steps: shuffle.
    order = torch.randperm(len(log_weights))
    # Equal steps with one random offset: each row is drawn `count` times its weight, rounded up or down.
    steps = (torch.arange(count, dtype=torch.float64) + torch.rand((), dtype=torch.float64)) / count
    index = torch.searchsorted(log_weights[order].exp().cumsum(0), steps).clamp_max(len(log_weights) - 1)
    return order[index[torch.randperm(count)]]
