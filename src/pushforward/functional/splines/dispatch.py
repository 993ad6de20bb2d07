"""Splines that scalar maps call, each in the fastest form for the device and for eager or compiled code."""

from __future__ import annotations

from torch import Tensor

from ..hand_gradients import Pair, derived, same_batch
from .eager import EagerSpline
from .gpu import GpuSpline
from .terms import Shape
from .unrolled import MAX_BINS, UnrolledSpline


def rational_quadratic_box(v: Tensor, p: Tensor, low: float, high: float, *, inverse: bool = False) -> Pair:
    """Return the spline from [low, high] onto itself, with free slopes at both ends; p = 0 is the identity.

    Args:
        v: Numbers (...) in [low, high].
        p: Free parameters (..., 3 K + 1): K widths, K heights, K + 1 slopes.
        low: Left and lower end.
        high: Right and upper end.
        inverse: Whether to apply the inverse map to v.

    Returns:
        The image (...) and log |d image / d v| (...).
    """
    return _spline(Shape((p.shape[-1] - 1) // 3, low, high, inverse, tails=False), v, p)


def rational_quadratic_tails(v: Tensor, p: Tensor, bound: float, *, inverse: bool = False) -> Pair:
    """Return the spline on [-bound, bound], continued by the identity; p = 0 is the identity everywhere.

    Args:
        v: Real numbers (...).
        p: Free parameters (..., 3 K - 1): K widths, K heights, K - 1 inner slopes; the outer slopes are 1.
        bound: Half-width of the interval of the spline.
        inverse: Whether to apply the inverse map to v.

    Returns:
        The image (...) and log |d image / d v| (...).
    """
    return _spline(Shape((p.shape[-1] + 1) // 3, -bound, bound, inverse, tails=True), v, p)


def _spline(shape: Shape, v: Tensor, p: Tensor) -> Pair:
    rule = GpuSpline(shape) if v.is_cuda else EagerSpline(shape)
    unrolled = UnrolledSpline(shape) if shape.bins <= MAX_BINS else None
    return derived(rule, *same_batch(v, p), compiled=unrolled)
