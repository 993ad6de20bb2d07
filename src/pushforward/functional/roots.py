"""Root finding that cannot leave its bracket."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def newton_bisect(
    f: Callable[[Tensor], tuple[Tensor, Tensor]],
    low: Tensor,
    high: Tensor,
    noise: Tensor | float = 0.0,
    start: Tensor | None = None,
    iterations: int = 100,
) -> Tensor:
    """Roots of increasing functions, element by element: Newton's step where it helps, bisection where it does not.

    A Newton step that leaves the bracket, or that does not at least halve the residual, is replaced by the bracket's
    middle (the rule of Press et al., "rtsafe"). Stops early, outside compiled code, when no element moves any more.

    Args:
        f: x -> (value, derivative), both of x's shape; the value increases with x.
        low: Point at which the value is <= 0.
        high: Point at which the value is >= 0.
        noise: Rounding error of the value at a root, element by element; where the value is no larger, x stays.
        start: the first guess, between them; their middle by default.
        iterations: at most.

    Returns:
        x of low's shape, without gradients.
    """
    with torch.no_grad():
        x = (low + high) / 2 if start is None else start.clamp(low, high)
        last = torch.full_like(x, torch.inf)
        for _ in range(iterations):
            value, slope = f(x)
            low, high = torch.where(value <= 0, x, low), torch.where(value >= 0, x, high)
            newton = x - value / slope
            good = (newton >= low) & (newton <= high) & (2 * value.abs() <= last)
            moved = torch.where(good, newton, (low + high) / 2)
            moved = torch.where(value.abs() <= noise, x, moved)
            last = value.abs()
            if not torch.compiler.is_compiling() and bool((moved == x).all()):
                break
            x = moved
        return x


def tanh_root(slope: Tensor, value: Tensor) -> Tensor:
    """The s with s + m tanh(s) = c: ten steps of Newton's method, which cannot miss from where they start.

    For c >= 0 the left side is concave in s > 0 when m > 0, and convex when m < 0. In the first case the start lies below
    the root; in the second it is the root of the cubic (1 + m) s - m s^3 / 3 = c, or, far out, a point above.

    Args:
        slope: m > -1, (...).
        value: c, of the same shape.

    Returns:
        s, to rounding, with gradients of first and second order.
    """
    with torch.no_grad():
        c, tiny = value.abs(), torch.finfo(value.dtype).tiny
        a, k = 1 + slope, (-slope / 3).clamp_min(tiny**0.25)
        ratio = (a / (3 * k)).sqrt()
        cubic = 2 * ratio * torch.sinh(torch.asinh(c / (2 * k * ratio**3)) / 3)
        convex = torch.where(cubic < 1, cubic, c - slope)
        s = torch.where(slope < 0, convex, torch.maximum(c - slope, c / a)) * value.sign()
        for _ in range(10):
            s = _newton(s, slope, value)
    # Recorded, a step at the root has the derivative of the root; two have its second one as well.
    return _newton(_newton(s, slope, value), slope, value)


def _newton(s: Tensor, m: Tensor, c: Tensor) -> Tensor:
    t = torch.tanh(s)
    return s - (s + m * t - c) / (1 + m - m * t.square())
