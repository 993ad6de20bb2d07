"""The splines that scalar maps call, each in the form that suits the moment and the device."""

from __future__ import annotations

from torch import Tensor

from ..hand_gradients import Pair, derived, same_batch
from .eager import EagerSpline
from .gpu import GpuSpline
from .terms import Shape
from .unrolled import MAX_BINS, UnrolledSpline


def rational_quadratic_box(v: Tensor, p: Tensor, low: float, high: float, *, inverse: bool = False) -> Pair:
    """The spline from [low, high] onto itself, with free slopes at both ends; p = 0 is the identity.

    Args:
        v: (...), inside [low, high].
        p: (..., 3 K + 1) free parameters: K widths, K heights, K + 1 slopes.
        low: left and lower end.
        high: right and upper end.
        inverse: whether v is on the y side.

    Returns:
        the image (...) and log |d image / d v| (...).
    """
    return _spline(Shape((p.shape[-1] - 1) // 3, low, high, inverse, tails=False), v, p)


def rational_quadratic_tails(v: Tensor, p: Tensor, bound: float, *, inverse: bool = False) -> Pair:
    """The spline on [-bound, bound] with the identity outside; p = 0 is the identity everywhere.

    Args:
        v: (...) real.
        p: (..., 3 K - 1) free parameters: K widths, K heights, K - 1 inner slopes; the outer slopes are 1.
        bound: half the width of the spline's part.
        inverse: whether v is on the y side.

    Returns:
        the image (...) and log |d image / d v| (...).
    """
    return _spline(Shape((p.shape[-1] + 1) // 3, -bound, bound, inverse, tails=True), v, p)


def _spline(shape: Shape, v: Tensor, p: Tensor) -> Pair:
    rule = GpuSpline(shape) if v.is_cuda else EagerSpline(shape)
    unrolled = UnrolledSpline(shape) if shape.bins <= MAX_BINS else None
    return derived(rule, *same_batch(v, p), compiled=unrolled)
