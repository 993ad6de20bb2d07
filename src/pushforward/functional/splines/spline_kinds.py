"""Splines beside the rational-quadratic one: linear, quadratic, cubic and linear-rational, from [-b, b] onto itself.

The bin of x starts at (x_0, y_0) and has width w, height h, mean slope s = h / w and slopes d_0, d_1 at its ends;
t = (x - x_0) / w.

    linear           y = y_0 + h t                                     (Müller et al. 2019, arXiv:1808.03856, section 4.1)
    quadratic        y = y_0 + w (d_0 t + (d_1 - d_0) t^2 / 2)         (the same, section 4.2)
    cubic            y = y_0 + w (d_0 t + (3 s - 2 d_0 - d_1) t^2 + (d_0 + d_1 - 2 s) t^3)
                                                                       (Durkan et al. 2019, arXiv:1906.02145)
    linear-rational  one quotient of linear functions up to t = l and another one beyond   (arXiv:2001.05168, eq. 5-9)

A quadratic spline has its slopes as parameters, and its heights follow; the slopes are scaled so that the heights add up to the
interval. A cubic spline has the harmonic mean of neighbouring mean slopes at each inner knot (Fritsch and Butland 1984), at
most 2 s of either bin, so that it increases. The slope at an end is a free multiple of s below 2.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..bounds import positive
from ..hand_gradients import Pair
from ..linear_tails import linear_tails
from ..roots import implicit_root, newton_bisect
from .plain import bin_sizes
from .terms import MIN_SLOPE

Kind = Literal["linear", "quadratic", "cubic", "linear-rational"]
LEAST_SHARE = 0.005
"""Least ratio of the slope at an end of a cubic spline to twice the mean slope of the bin."""
MIN_PLACE = 0.025
"""Least distance of the inner point of a linear-rational bin from its ends, as a share of the bin."""


def spline_parameters(kind: Kind, bins: int) -> int:
    """Return the number of free parameters of a spline with K bins."""
    return {"linear": 2 * bins, "quadratic": 2 * bins + 1, "cubic": 2 * bins + 2, "linear-rational": 4 * bins + 1}[kind]


def piecewise_spline(v: Tensor, p: Tensor, kind: Kind, bins: int, bound: float, *, inverse: bool = False) -> Pair:
    """Return a spline on [-bound, bound] with straight tails, and its log-slope, or those of the inverse map.

    Args:
        v: Real numbers (...).
        p: Free parameters (..., n), with n of `spline_parameters`; p = 0 gives the identity.
        kind: Kind of the spline.
        bins: Number of bins K.
        bound: Half-width of the interval.
        inverse: Whether to apply the inverse map to v.

    Returns:
        The image (...) and log |d image / d v| (...).
    """
    rule = {"linear": _linear, "quadratic": _quadratic, "cubic": _cubic, "linear-rational": _linear_rational}[kind]
    return linear_tails(lambda x: rule(x, p, bins, bound, inverse), v, bound)


def _linear(v: Tensor, p: Tensor, bins: int, bound: float, inverse: bool) -> Pair:  # noqa: FBT001
    (widths, starts), (heights, floors) = (bin_sizes(part, -bound, bound) for part in p.chunk(2, -1))
    x0, w, y0, h = _of_bin(v, floors if inverse else starts, starts, widths, floors, heights)
    s = h / w
    if inverse:
        return x0 + (v - y0) / s, -s.log()
    return y0 + s * (v - x0), s.log()


def _quadratic(v: Tensor, p: Tensor, bins: int, bound: float, inverse: bool) -> Pair:  # noqa: FBT001
    widths, starts = bin_sizes(p[..., :bins], -bound, bound)
    slopes = positive(p[..., bins:], MIN_SLOPE)
    areas = widths * (slopes[..., 1:] + slopes[..., :-1]) / 2
    unit = 2 * bound / areas.sum(-1, keepdim=True)
    slopes, floors = slopes * unit, F.pad((areas * unit)[..., :-1].cumsum(-1), (1, 0)) - bound
    x0, w, y0, d0, d1 = _of_bin(
        v, floors if inverse else starts, starts, widths, floors, slopes[..., :-1], slopes[..., 1:]
    )
    if inverse:
        c = ((v - y0) / w).clamp_min(0)
        # The form of the root of (d1 - d0) t^2 / 2 + d0 t = c that does not cancel for nearly equal slopes.
        t = 2 * c / (d0 + (d0.square() + 2 * (d1 - d0) * c).clamp_min(torch.finfo(v.dtype).tiny).sqrt())
        t = _pinned(t, v, bound)
        return x0 + w * t, -torch.lerp(d0, d1, t.clamp(0, 1)).log()
    t = _pinned((v - x0) / w, v, bound)
    return y0 + w * t * (d0 + (d1 - d0) * t / 2), torch.lerp(d0, d1, t.clamp(0, 1)).log()


def _cubic(v: Tensor, p: Tensor, bins: int, bound: float, inverse: bool) -> Pair:  # noqa: FBT001
    (widths, starts), (heights, floors) = (bin_sizes(part, -bound, bound) for part in p[..., : 2 * bins].chunk(2, -1))
    means = heights / widths
    inner = 2 * means[..., 1:] * means[..., :-1] / (means[..., 1:] + means[..., :-1])
    ends = means[..., [0, -1]] * 2 * torch.lerp(p[..., 2 * bins :].sigmoid(), p.new_tensor(0.5), 2 * LEAST_SHARE)
    slopes = torch.cat([ends[..., :1], inner, ends[..., 1:]], -1)
    x0, w, y0, s, d0, d1 = _of_bin(
        v, floors if inverse else starts, starts, widths, floors, means, slopes[..., :-1], slopes[..., 1:]
    )
    two, three = 3 * s - 2 * d0 - d1, d0 + d1 - 2 * s

    def curve(t: Tensor) -> Pair:
        return t * (d0 + t * (two + t * three)), d0 + t * (2 * two + t * 3 * three)

    if not inverse:
        image, slope = curve(_pinned((v - x0) / w, v, bound))
        return y0 + w * image, slope.log()
    target = (v - y0) / w

    def residual(t: Tensor) -> Pair:
        image, slope = curve(t)
        return image - target, slope

    with torch.no_grad():
        noise = 2 * torch.finfo(v.dtype).eps * s
        t = newton_bisect(residual, torch.zeros_like(v), torch.ones_like(v), noise)
    t = _pinned(implicit_root(residual, t), v, bound)
    return x0 + w * t, -curve(t)[1].log()


def _linear_rational(v: Tensor, p: Tensor, bins: int, bound: float, inverse: bool) -> Pair:  # noqa: FBT001
    widths, starts = bin_sizes(p[..., :bins], -bound, bound)
    heights, floors = bin_sizes(p[..., bins : 2 * bins], -bound, bound)
    places = MIN_PLACE + (1 - 2 * MIN_PLACE) * p[..., 2 * bins : 3 * bins].sigmoid()
    slopes = positive(p[..., 3 * bins :], MIN_SLOPE)
    x0, w, y0, h, l, d0, d1 = _of_bin(  # noqa: E741
        v, floors if inverse else starts, starts, widths, floors, heights, places, slopes[..., :-1], slopes[..., 1:]
    )
    # The weights of the points at 0, l and 1 are 1, middle and last; `rise` is the height of the inner point.
    last = (d0 / d1).sqrt()
    middle = (l * d0 + (1 - l) * last * d1) * w / h
    rise = l * last * h / (1 - l + l * last)
    # Each branch sees its own part of the bin only, so that no denominator is near zero in the branch that is not taken.
    if inverse:
        dy = v - y0
        first, second = torch.minimum(dy, rise), torch.maximum(dy, rise)
        t = torch.where(
            dy <= rise,
            l * first / (first + middle * (rise - first)),
            (l * last * (h - second) + middle * (second - rise)) / (last * (h - second) + middle * (second - rise)),
        )
    else:
        t = (v - x0) / w
    t = _pinned(t, v, bound)
    first, second = torch.minimum(t, l), torch.maximum(t, l)
    lower, upper = l - first + middle * first, middle * (1 - second) + last * (second - l)
    log_slope = torch.where(
        t <= l,
        (l * middle * rise / w).log() - 2 * lower.log(),
        ((1 - l) * middle * last * (h - rise) / w).log() - 2 * upper.log(),
    )
    if inverse:
        return x0 + w * t, -log_slope
    below, above = middle * rise * first / lower, h - middle * (h - rise) * (1 - second) / upper
    return y0 + torch.where(t <= l, below, above), log_slope


def _pinned(t: Tensor, v: Tensor, bound: float) -> Tensor:
    """Return t, and exactly 0 or 1 at the ends of the interval, where a rounding error would change the slope of the tails."""
    return torch.where(v <= -bound, 0.0, torch.where(v >= bound, 1.0, t))


def _of_bin(v: Tensor, starts: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """Return those of the values (..., K) that belong to the bin of v, (...), for bins that begin at `starts`."""
    k = (v.unsqueeze(-1) >= starts[..., 1:]).sum(-1, keepdim=True)
    return tuple(t.gather(-1, k).squeeze(-1) for t in values)
