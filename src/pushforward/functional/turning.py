"""Increasing maps of the circle: convex combinations of Moebius maps and of scaled tangents, and their inverses.

Angles are radians in [0, 2 pi). Every map here is f(x) = x + d(x) with a periodic displacement d and f(0) = 0.

A Moebius map of the unit circle moves angles towards the direction of a vector w of length r < 1 (Rezende et al. 2020,
arXiv:2002.02428, eq. 8-9). With s = w_1 sin x - w_2 cos x and c = w_1 cos x + w_2 sin x,

    f(x) = x + 2 arctan(s / (1 - c)) + a constant,    f'(x) = (1 - r^2) / (1 - 2 c + r^2).

This form has no branch cut, since 1 - c > 0, and it is smooth at w = 0. One Moebius map after another is again one; a convex
combination f = sum_k rho_k f_k is not, and is more flexible (eq. 12).

The non-compact projection scales the tangent of half the angle from pi (section 2.1.3). With t = (x - pi) / 2,

    f(x) = pi + 2 arctan(alpha tan t + beta),    f'(x) = alpha / ((alpha sin t + beta cos t)^2 + cos^2 t).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .roots import implicit_root, newton_bisect

TURN = 2 * math.pi
"""A full turn, in radians."""
LARGEST_RADIUS = 0.99
"""Upper bound of the length of w; the steepest slope of a Moebius map is then 199."""

Slopes = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Function of angles (...) that returns the image before it is reduced to [0, 2 pi), and the slope."""


def wrapped(x: Tensor) -> Tensor:
    """Return angles reduced to [0, 2 pi)."""
    turned = torch.remainder(x, TURN)
    # For a tiny negative x, the remainder rounds to 2 pi.
    return torch.where(turned >= TURN, torch.zeros_like(turned), turned)


def moebius_mixture(weights: Tensor, first: Tensor, second: Tensor) -> Slopes:
    """Return the convex combination of K Moebius maps.

    Args:
        weights: Free parameters (..., K) of the weights rho, before a softmax.
        first: Free parameters (..., K) of w_1; the vector (first, second) is shortened smoothly to a length below 0.99.
        second: Free parameters (..., K) of w_2.
    """
    rho = weights.softmax(-1)
    shrink = LARGEST_RADIUS * torch.rsqrt(1 + first.square() + second.square())
    w1, w2 = first * shrink, second * shrink
    square = w1.square() + w2.square()
    # The displacement at x = 0, where s = -w_2 and c = w_1, is subtracted so that f(0) = 0.
    at_zero = torch.atan2(-w2, 1 - w1)

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        sine, cosine = x.sin().unsqueeze(-1), x.cos().unsqueeze(-1)
        s, c = w1 * sine - w2 * cosine, w1 * cosine + w2 * sine
        moved = (rho * (torch.atan2(s, 1 - c) - at_zero)).sum(-1)
        return x + 2 * moved, (rho * (1 - square) / (1 - 2 * c + square)).sum(-1)

    return f


def projection_mixture(weights: Tensor, log_scales: Tensor, shifts: Tensor) -> Slopes:
    """Return the convex combination of K non-compact projections.

    Args:
        weights: Free parameters (..., K) of the weights rho, before a softmax.
        log_scales: Logarithms (..., K) of the scales alpha.
        shifts: Shifts beta, (..., K).
    """
    rho, alpha = weights.softmax(-1), log_scales.exp()

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        t = ((x - math.pi) / 2).unsqueeze(-1)
        # On [0, 2 pi] the cosine is not negative; rounding at the ends must not turn the angle around.
        sine, cosine = t.sin(), t.cos().clamp_min(0)
        risen = alpha * sine + shifts * cosine
        image = (rho * (math.pi + 2 * torch.atan2(risen, cosine))).sum(-1)
        return image, (rho * alpha / (risen.square() + cosine.square())).sum(-1)

    return f


def circle_map(f: Slopes, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the image of angles x (...) in [0, 2 pi), and the log-slope (...)."""
    image, slope = f(x)
    return wrapped(image), slope.log()


def circle_inverse(f: Slopes, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the angles x (...) with f(x) = z and the log-slope of the inverse.

    Newton's method with bisection on [0, 2 pi] finds the root, and `implicit_root` its gradients.
    """

    def residual(x: Tensor) -> tuple[Tensor, Tensor]:
        image, slope = f(x)
        return image - z, slope

    noise = 4 * torch.finfo(z.dtype).eps * TURN
    low = torch.zeros_like(z)
    x = implicit_root(residual, newton_bisect(residual, low, torch.full_like(z, TURN), noise))
    return wrapped(x), -f(x)[1].log()
