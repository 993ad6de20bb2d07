"""Monotone rational-quadratic splines: the map, its inverse and their log-derivatives.

Between knots (x_k, y_k) and (x_k + w, y_k + h), with slope s = h / w, derivatives d0, d1 at the ends and t = (x - x_k) / w,

    y     = y_k + h (s t^2 + d0 t (1 - t)) / (s + (d0 + d1 - 2 s) t (1 - t))
    dy/dx = s^2 (d1 t^2 + 2 s t (1 - t) + d0 (1 - t)^2) / (s + (d0 + d1 - 2 s) t (1 - t))^2

which is increasing for positive s, d0, d1 (Gregory and Delbourgo 1982; Durkan et al. 2019, arXiv:1906.04032, eq. 4-8).
The inverse solves a quadratic equation in t, by the form of the root that avoids cancellation.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from ..bounds import positive
from ..hand_gradients import Pair
from .terms import MIN_SIZE, MIN_SLOPE, Shape


def rational_quadratic(
    v: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, low: float, high: float, *, inverse: bool = False
) -> Pair:
    """Return the spline from [low, high] onto itself, or its inverse, by the plain formula.

    Args:
        v: Numbers (...) in [low, high].
        widths: Free parameters (..., K) of the bins' widths; equal values give equal widths.
        heights: Free parameters (..., K) of the bins' heights.
        slopes: Derivatives (..., K + 1) at the knots, positive.
        low: Left and lower end.
        high: Right and upper end.
        inverse: Whether to apply the inverse map to v.

    Returns:
        The image (...) and log |d image / d v| (...).
    """
    (w, x_knots), (h, y_knots) = (bin_sizes(free, low, high) for free in (widths, heights))
    return between_knots(v, w, x_knots, h, y_knots, slopes, inverse=inverse)


def between_knots(
    v: Tensor, w: Tensor, x_knots: Tensor, h: Tensor, y_knots: Tensor, slopes: Tensor, *, inverse: bool = False
) -> Pair:
    """Return the spline with given bins, or its inverse.

    Args:
        v: Numbers (...) in the spline's interval.
        w: Widths of the bins (..., K), positive.
        x_knots: Left ends of the bins (..., K).
        h: Heights of the bins (..., K), positive.
        y_knots: Lower ends of the bins (..., K).
        slopes: Derivatives (..., K + 1) at the knots, positive.
        inverse: Whether to apply the inverse map to v.

    Returns:
        The image (...) and log |d image / d v| (...).
    """
    knots = y_knots if inverse else x_knots
    k = (v.unsqueeze(-1) >= knots[..., 1:]).sum(-1, keepdim=True)
    x0, y0, w, h = (t.gather(-1, k).squeeze(-1) for t in (x_knots, y_knots, w, h))
    d0, d1 = slopes.gather(-1, k).squeeze(-1), slopes.gather(-1, k + 1).squeeze(-1)
    s = h / w
    curve = d0 + d1 - 2 * s
    if inverse:
        dy = v - y0
        a = h * (s - d0) + dy * curve
        b = h * d0 - dy * curve
        c = s * dy
        # The usual form (-b + sqrt(b^2 + 4 a c)) / (2 a) of the root of a t^2 + b t = c cancels for small a.
        t = 2 * c / (b + (b.square() + 4 * a * c).clamp_min(0).sqrt())
    else:
        t = (v - x0) / w
    t = t.clamp(0, 1)
    mixed = t * (1 - t)
    denominator = s + curve * mixed
    slope = s.square() * (d1 * t.square() + 2 * s * mixed + d0 * (1 - t).square())
    log_slope = slope.log() - 2 * denominator.log()
    if inverse:
        return x0 + w * t, -log_slope
    return y0 + h * (s * t.square() + d0 * mixed) / denominator, log_slope


def bin_sizes(free: Tensor, low: float, high: float) -> Pair:
    """Return the sizes of bins that fill [low, high], and where they start, both (..., K).

    Args:
        free: Free parameters (..., K); equal values give equal sizes.
        low: Start of the first bin.
        high: End of the last bin.
    """
    sizes = (high - low) * (MIN_SIZE + (1 - MIN_SIZE * free.shape[-1]) * F.softmax(free, -1))
    return sizes, low + F.pad(sizes[..., :-1].cumsum(-1), (1, 0))


@dataclasses.dataclass(frozen=True)
class SplineRule:
    """Base class of the forms of the spline as a `Rule` of v (...) and p, (..., 3 K - 1) with tails or (..., 3 K + 1) without.

    Args:
        shape: Shape of the spline.
    """

    shape: Shape

    def plain(self, v: Tensor, p: Tensor) -> Pair:
        """Return the plain formula of free parameters; with tails the outer slopes are 1 and the identity continues it."""
        shape, bins = self.shape, self.shape.bins
        widths, heights, slopes = p.split([bins, bins, p.shape[-1] - 2 * bins], -1)
        slopes = positive(slopes, MIN_SLOPE)
        if not shape.tails:
            return rational_quadratic(v, widths, heights, slopes, shape.low, shape.high, inverse=shape.inverse)
        slopes = F.pad(slopes, (1, 1), value=1.0)
        inside = v.abs() < shape.high
        image, log_slope = rational_quadratic(
            torch.where(inside, v, 0.0), widths, heights, slopes, shape.low, shape.high, inverse=shape.inverse
        )
        return torch.where(inside, image, v), torch.where(inside, log_slope, 0.0)
