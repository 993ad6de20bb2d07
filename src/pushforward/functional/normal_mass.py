"""Probability of an interval under a normal distribution, in log space and without cancellation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NARROW = 0.05
"""Width of an interval, in standard deviations, below which its probability is computed from the density in its middle."""
FAR = 40.0
"""Distance, in standard deviations, at which a bound at infinity is placed; the normal probability beyond it is 1e-350."""


def log_normal_mass(lower: Tensor, upper: Tensor, width: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return log(Phi((upper - mean) / s) - Phi((lower - mean) / s)) with s = exp(log_scale).

    An interval much narrower than s would lose all digits in the difference. Its probability is, with m = (lower + upper) / 2,
    u = (m - mean) / s and d = width / s,

        phi(u) d (1 + (u^2 - 1) d^2 / 24) + O(d^5),

    which follows from the Taylor series of the density phi around the middle.

    Args:
        lower: Lower ends; may be -inf.
        upper: Upper ends; may be inf.
        width: Differences of the ends, which the caller can compute with more digits; inf if an end is infinite.
        mean: Means; all arguments broadcast.
        log_scale: Logarithms of the standard deviations.
    """
    rate = (-log_scale).exp()
    left, right = lower.isinf(), upper.isinf()
    # Infinite ends are replaced before the product, because the gradient of an infinite product is NaN.
    a = (torch.where(left, 0.0, lower) - mean) * rate
    b = (torch.where(right, 0.0, upper) - mean) * rate
    a, b = torch.where(left, b.detach().clamp_max(0) - FAR, a), torch.where(right, a.detach().clamp_min(0) + FAR, b)
    # The two ends are reflected so that the left one is not above the middle of the normal distribution: Phi has its digits
    # in the left tail.
    flip = a + b > 0
    a, b = torch.where(flip, -b, a), torch.where(flip, -a, b)
    d = torch.where(left | right, 0.0, width) * rate
    narrow = (d < NARROW) & ~(left | right)
    # Each branch gets harmless numbers where the other one is taken, so that its gradient is finite there.
    low, high = torch.where(narrow, -1.0, a), torch.where(narrow, 1.0, b)
    top = torch.special.log_ndtr(high)
    wide = top + _log1mexp((top - torch.special.log_ndtr(low)).clamp_min(torch.finfo(top.dtype).tiny))
    u = torch.where(narrow, (a + b) / 2, 0.0)
    step = torch.where(narrow, d, NARROW).clamp_min(torch.finfo(d.dtype).tiny)
    # Far out in a tail the series of the exponential is better than the bracket, and the two agree to order d^4.
    series = -0.5 * (u.square() + math.log(2 * math.pi)) + step.log() + (u.square() - 1) * step.square() / 24
    return torch.where(narrow, series, wide)


def _log1mexp(x: Tensor) -> Tensor:
    """Return log(1 - exp(-x)) for x > 0."""
    small = x < math.log(2.0)
    return torch.where(
        small,
        (-torch.expm1(-torch.where(small, x, 1.0))).log(),
        torch.log1p(-torch.exp(-torch.where(small, 1.0, x))),
    )
