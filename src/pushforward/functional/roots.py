"""Root finding for increasing functions."""

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
    """Return roots of increasing functions, element by element, by Newton's method with bisection as a safeguard.

    A Newton step that leaves the interval [low, high], or follows a step that did not halve the residual, is replaced by the
    midpoint of the interval (the rule of Press et al., "rtsafe"). Outside of compiled code the iteration stops when no element
    changes.

    Args:
        f: Function x -> (value, derivative), both of x's shape; the value increases with x.
        low: Point at which the value is <= 0.
        high: Point at which the value is >= 0.
        noise: Rounding error of the value at a root, element by element; x is not changed where the value is not larger.
        start: First guess, inside the interval; its midpoint by default.
        iterations: Largest number of iterations.

    Returns:
        Roots x, of low's shape, without gradients.
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
    """Return the s with s + m tanh(s) = c, by ten steps of Newton's method from a start that guarantees convergence.

    For c >= 0 and s > 0 the left side is concave if m > 0 and convex if m < 0. If it is concave, Newton's method
    increases from any point below the root to it; max(c - m, c / (1 + m)) is such a point. If it is convex, the method
    decreases to the root from any point above it, and the first step from a point below leads above. The start is then
    the root of the cubic (1 + m) s - m s^3 / 3 = c, from tanh(s) = s - s^3 / 3 + ..., or c - m, which lies above the
    root, where the cubic root is not small.

    Args:
        slope: Slope m > -1, (...).
        value: Right side c, (...).

    Returns:
        Roots s, (...), up to rounding, with gradients of first and second order.
    """
    with torch.no_grad():
        c, tiny = value.abs(), torch.finfo(value.dtype).tiny
        a, k = 1 + slope, (-slope / 3).clamp_min(tiny**0.25)
        # a s + k s^3 = c has one real root, by the hyperbolic form of Cardano's formula.
        ratio = (a / (3 * k)).sqrt()
        cubic = 2 * ratio * torch.sinh(torch.asinh(c / (2 * k * ratio**3)) / 3)
        convex = torch.where(cubic < 1, cubic, c - slope)
        s = torch.where(slope < 0, convex, torch.maximum(c - slope, c / a)) * value.sign()
        for _ in range(10):
            s = _newton(s, slope, value)
    # One recorded Newton step at the root has the first derivative of the root; two steps also have the second.
    return _newton(_newton(s, slope, value), slope, value)


def _newton(s: Tensor, m: Tensor, c: Tensor) -> Tensor:
    t = torch.tanh(s)
    return s - (s + m * t - c) / (1 + m - m * t.square())
