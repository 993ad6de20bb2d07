"""Heavy tails: the generalised Pareto law of excesses, its fit, and the Hill estimate of the tail index.

Excesses e over a high quantile follow nearly P(E > e) = (1 + xi e / b)^(-1 / xi). The index xi is 0 for tails that fall
exponentially and 1 / a for tails that fall like x^-a (Pickands 1975; Balkema and de Haan 1974).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_INDEX = 1e-3
"""Smallest tail index of a fit: a tail that falls exponentially, up to quantiles that no sample reaches."""
SHARES = (0.3, 0.2, 0.1, 0.05)
"""Shares of the rows that are tried as a tail, the largest first."""
FEWEST = 20
"""Smallest number of different values, and of excesses, from which a tail is fitted."""


@dataclass(frozen=True)
class TailFit:
    """Generalised Pareto tail of one side of a sample.

    Args:
        share: Share of the rows beyond the threshold.
        index: Tail index xi.
        scale: Scale b of the excesses.
        heavy: Whether the tail is heavier than an exponential one.
    """

    share: float
    index: float
    scale: float
    heavy: bool


@dataclass(frozen=True)
class HillEstimate:
    """Hill estimate of a tail index.

    Args:
        index: Estimate of xi.
        error: Standard error xi / sqrt(k).
        used: Number k of order statistics.
    """

    index: float
    error: float
    used: int


def pareto_tail(excess: Tensor, index: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return log P(E > e) and log(1 + xi e / b), from which the log-density is their difference minus log b.

    Args:
        excess: Excesses e >= 0, (...).
        index: Tail index xi > 0, (...).
        log_scale: Logarithm of the scale b, (...).

    Returns:
        -log(1 + xi e / b) / xi and log(1 + xi e / b), both (...).
    """
    grown = torch.log1p(index * excess * (-log_scale).exp())
    return -grown / index, grown


def pareto_excess(log_survival: Tensor, index: Tensor, log_scale: Tensor) -> Tensor:
    """Return the excess e with log P(E > e) given: e = b (exp(-xi log P) - 1) / xi."""
    return log_scale.exp() * torch.expm1(-index * log_survival) / index


def pareto_fit(excess: Tensor) -> tuple[float, float]:
    """Return the index xi >= 0 and the scale of excesses, by maximum likelihood.

    For a fixed ratio t = xi / b the best index is mean log(1 + t e), and the log-likelihood per excess is
    -log(xi / t) - xi - 1 (Grimshaw 1993). Two grids of t, the second around the best point of the first, find its maximum.

    Args:
        excess: Excesses > 0 in float64, (k,).
    """
    mean = float(excess.mean())
    low, high = math.log(1e-4 / mean), math.log(1e4 / mean)
    for _ in range(2):
        ratio = torch.linspace(low, high, 100, dtype=torch.float64).exp()
        index = torch.log1p(ratio[:, None] * excess).mean(1)
        best = int((-(index / ratio).log() - index).argmax())
        step = (high - low) / 99
        middle = float(ratio[best].log())
        low, high = middle - step, middle + step
    chosen = float(index[best])
    return max(chosen, LEAST_INDEX), max(chosen, LEAST_INDEX) / float(ratio[best]) if chosen > LEAST_INDEX else mean


def tail_fit(column: Tensor, share: float = 0.0) -> TailFit:
    """Return the upper tail of a sample; the lower tail is the upper one of minus the sample.

    The largest share of `SHARES` is used whose excesses the generalised Pareto law fits: their Kolmogorov-Smirnov distance
    times sqrt(k) is below 0.9, the 1 % level when the parameters are fitted. A tail without a positive index, or with too few
    rows, gets a small share, so that the body follows the data as far out as possible.

    Args:
        column: Numbers, (N,).
        share: Share to use instead of the search; 0 for the search.
    """
    x = column.double().sort().values
    n = len(x)
    least = min(0.25, max(0.002, FEWEST / n))
    for tried in (share,) if share else SHARES:
        k = int(tried * n)
        if k < FEWEST:
            break
        threshold = x[n - k - 1]
        excess = x[n - k :] - threshold
        if float(excess[0]) < 0 or float(excess[-1]) <= 0:
            break
        excess = excess.clamp_min(float(excess[-1]) * 1e-12)
        index, scale = pareto_fit(excess)
        survival = (1 + index * excess / scale) ** (-1 / index)
        steps = 1 - torch.arange(k, dtype=torch.float64) / k
        distance = float((survival - steps).abs().max()) * math.sqrt(k)
        if (distance < 0.9 or share) and index > 2 / math.sqrt(k):
            return TailFit(tried, index, scale, heavy=True)
    k = max(1, int(least * n))
    excess = (x[n - k :] - x[max(0, n - k - 1)]).clamp_min(0)
    return TailFit(least, 0.05, max(float(excess.mean()), 1e-12), heavy=False)


def hill(column: Tensor, used: int | None = None) -> HillEstimate:
    """Return the Hill estimate of the upper tail: mean of log(x_(i) / x_(k+1)) over the k largest numbers (Hill 1975).

    Args:
        column: Numbers, (N,); the k + 1 largest must be positive.
        used: Number k of order statistics; None for 2 % of the rows, at least 20.

    Returns:
        The estimate; NaN where fewer than k + 1 numbers are positive.
    """
    x = column.double().sort(descending=True).values
    k = min(len(x) - 1, max(FEWEST, len(x) // 50)) if used is None else used
    if not 0 < k < len(x) or float(x[k]) <= 0:
        return HillEstimate(math.nan, math.nan, k)
    index = float((x[:k] / x[k]).log().mean())
    return HillEstimate(index, index / math.sqrt(k), k)


def logit_of_survival(log_survival: Tensor) -> tuple[Tensor, Tensor]:
    """Return logit F = log F - log S and log F, from log S < 0."""
    log_cdf = torch.log(-torch.expm1(log_survival))
    return log_cdf - log_survival, log_cdf


def inverse_positive(value: float | Tensor) -> Tensor:
    """Return the p with softplus(p) = value > 0."""
    value = torch.as_tensor(value, dtype=torch.float64)
    return value + torch.log(-torch.expm1(-value))


def index_of(p: Tensor) -> Tensor:
    """Return tail indices from free parameters: 0.1 for p = 0, above `LEAST_INDEX` / 10."""
    return F.softplus(p + math.log(math.expm1(0.1 - LEAST_INDEX / 10))) + LEAST_INDEX / 10


def free_index(index: float) -> float:
    """Return the free parameter of a tail index, the inverse of `index_of`."""
    least = LEAST_INDEX / 10
    return float(inverse_positive(max(index - least, 1e-9))) - math.log(math.expm1(0.1 - least))
