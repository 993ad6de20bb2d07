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

    An interval much narrower than s would lose all digits in the difference. With m = (lower + upper) / 2, u = (m - mean) / s
    and d = width / s, its probability is the integral of phi(u + t) = phi(u) exp(-u t) exp(-t^2 / 2) over |t| < d / 2, that is

        phi(u) d sinh(y) / y (1 - d^2 / 24) + O(d^4),    y = u d / 2.

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
    y = (u * step / 2).abs()
    density = -0.5 * (u.square() + math.log(2 * math.pi)) + step.log() + _log_sinhc(y) - step.square() / 24
    return torch.where(narrow, density, wide)


def _log1mexp(x: Tensor) -> Tensor:
    """Return log(1 - exp(-x)) for x > 0."""
    small = x < math.log(2.0)
    return torch.where(
        small,
        (-torch.expm1(-torch.where(small, x, 1.0))).log(),
        torch.log1p(-torch.exp(-torch.where(small, 1.0, x))),
    )


def _log_sinhc(y: Tensor) -> Tensor:
    """Return log(sinh(y) / y) for y >= 0."""
    small = y < 0.5
    square, large = torch.where(small, y, 0.0).square(), torch.where(small, 1.0, y)
    series = square * (1 / 6 - square * (1 / 180 - square / 2835))
    return torch.where(small, series, large + torch.log1p(-(-2 * large).exp()) - (2 * large).log())
