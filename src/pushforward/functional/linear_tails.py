"""Maps of a bounded interval, continued by straight lines with the slopes at its ends."""

from __future__ import annotations

from torch import Tensor

from .hand_gradients import Pair
from .roots import Slopes


def linear_tails(f: Slopes, v: Tensor, bound: float) -> Pair:
    """Return f(v) inside of [-bound, bound], and f(e) + f'(e) (v - e) beyond the end e; the image has a continuous slope.

    Args:
        f: Increasing function x -> (value, log-slope).
        v: Real numbers (...).
        bound: Half-width of the interval.

    Returns:
        The image (...) and its log-slope (...).
    """
    # Inside, the edge is v itself, so the second term is zero in value and in gradient.
    edge = v.clamp(-bound, bound)
    image, log_slope = f(edge)
    return image + log_slope.exp() * (v - edge), log_slope
