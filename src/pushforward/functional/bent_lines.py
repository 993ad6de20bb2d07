"""Bijections of the line in closed form with one or two shape parameters: bent, stretched and skewed lines.

    cubic-rational   y + a y / (1 + y^2),  -1 < a < 8               inverse: the real root of a cubic equation
    sinh             asinh(exp(a) sinh(y))                          inverse: the same with -a
    sinh-arcsinh     sinh(d asinh(y) - e),  d > 0                   inverse: sinh((asinh(z) + e) / d)
    Johnson's S_U    g + d asinh(y),  d > 0                         inverse: sinh((z - g) / d)
    Yeo-Johnson      sign(y) ((1 + |y|)^k - 1) / k,                 inverse: the same formula with powers 1 / k
                     k = l for y >= 0 and 2 - l for y < 0,  0 < l < 2

The cubic-rational slope is 1 + a (1 - y^2) / (1 + y^2)^2. The factor of a has its maximum 1 at y = 0 and its minimum -1/8 at
y^2 = 3, which gives the range of a. Beyond 0 <= l <= 2 a Yeo-Johnson map is bounded on one side.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .hand_gradients import Pair
from .roots import implicit_root

FAR = 8.0
"""Distance beyond which sinh is computed in logarithms."""


def log_cosh(y: Tensor) -> Tensor:
    """Return log cosh y without overflow, (...)."""
    return F.softplus(2 * y) - y - math.log(2)


def cubic_rational(y: Tensor, a: Tensor) -> Pair:
    """Return y + a y / (1 + y^2) and the log-slope, for y and -1 < a < 8 (...)."""
    over = 1 / (1 + y.square())
    return y + a * y * over, torch.log1p(a * (2 * over - 1) * over)


def cubic_rational_inverse(z: Tensor, a: Tensor) -> Pair:
    """Return the y with y + a y / (1 + y^2) = z, and the log-slope: the real root of y^3 - z y^2 + (1 + a) y - z = 0.

    With y = z / 3 + w the equation is w^3 + 3 P w + 2 Q = 0 with 3 P = 1 + a - z^2 / 3. It has one real root, since the map
    increases: -2 sqrt(P) sinh(asinh(Q / P^(3/2)) / 3) for P > 0, and -2 sign(Q) sqrt(-P) cosh(acosh(|Q| / (-P)^(3/2)) / 3) for
    P < 0. Newton steps remove its rounding error.
    """

    def residual(y: Tensor) -> Pair:
        image, log_slope = cubic_rational(y, a)
        return image - z, log_slope.exp()

    with torch.no_grad():
        third = z / 3
        p = (1 + a) / 3 - third.square()
        q = third * ((1 + a) / 2 - third.square() - 1.5)
        size = p.abs().clamp_min(torch.finfo(z.dtype).tiny ** 0.25)
        ratio = q / (size * size.sqrt())
        turned = torch.where(
            p > 0, torch.sinh(torch.asinh(ratio) / 3), q.sign() * torch.cosh(torch.acosh(ratio.abs().clamp_min(1)) / 3)
        )
        y = third - 2 * size.sqrt() * turned
        for _ in range(2):
            value, slope = residual(y)
            y = y - value / slope
    y = implicit_root(residual, y)
    return y, -cubic_rational(y, a)[1]


def stretched(y: Tensor, a: Tensor) -> Pair:
    """Return w = asinh(exp(a) sinh(y)) and log dw/dy = a + log cosh y - log cosh w, for y and a (...)."""
    near = y.clamp(-FAR, FAR)
    size = y.abs().clamp_min(FAR)
    # For y > 0: asinh(e^a sinh y) = y + log(c + sqrt(c^2 + e^(-2 y))) with c = e^a (1 - e^(-2 y)) / 2.
    rest = (-2 * size).exp()
    c = a.exp() * (1 - rest) / 2
    far = y.sign() * (size + torch.log(c + (c.square() + rest).sqrt()))
    w = torch.where(y.abs() < FAR, torch.asinh(a.exp() * torch.sinh(near)), far)
    return w, a + log_cosh(y) - log_cosh(w)


def sinh_arcsinh(y: Tensor, rate: Tensor, shift: Tensor) -> Pair:
    """Return sinh(d asinh(y) - e) and the log-slope, for y, d > 0 and e (...) (Jones and Pewsey 2009, eq. 2)."""
    inner = asinh(y)
    u = rate * inner - shift
    return torch.sinh(u), rate.log() + log_cosh(u) - log_cosh(inner)


def yeo_johnson(y: Tensor, power: Tensor, *, inverse: bool = False) -> Pair:
    """Return the power transform of Yeo and Johnson (2000), or its inverse, and the log-slope.

    Args:
        y: Numbers (...).
        power: Power l between 0 and 2, (...).
        inverse: Whether to apply the inverse map to y.
    """
    sign = torch.where(y < 0, -1.0, 1.0)
    k = torch.where(y < 0, 2 - power, power)
    size = y * sign
    if inverse:
        # (1 + x)^k = 1 + k z, so log (1 + x) is log (1 + k z) / k.
        log = torch.log1p(k * size) / k
        return sign * torch.expm1(log), (1 - k) * log
    log = torch.log1p(size)
    return sign * torch.expm1(k * log) / k, (k - 1) * log


def asinh(y: Tensor) -> Tensor:
    """Return asinh y, (...); the square of a large y does not overflow in its derivatives."""
    large = y.abs() > 1e8
    near, far = torch.where(large, 1.0, y), torch.where(large, y, 1.0)
    return torch.where(large, far.sign() * (far.abs().log() + math.log(2)), torch.asinh(near))
