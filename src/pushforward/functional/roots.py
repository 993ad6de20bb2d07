"""Root finding for increasing functions, and numeric inverses of increasing maps of the real line onto itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InversionError
from .hand_gradients import eager

Slopes = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Function x -> (value, derivative), or (value, logarithm of the derivative), each of x's shape."""

EXPANSIONS, COMPILED_EXPANSIONS = 30, 4
"""Largest number of times that an interval is made wider in eager code, and the number of times in compiled code."""
GROWTH = 8.0
"""Factor between the lengths of successive intervals."""


def newton_bisect(
    f: Slopes,
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


def monotone_inverse(f: Slopes, z: Tensor, low: Tensor, high: Tensor, name: str = "map") -> tuple[Tensor, Tensor]:
    """Return the inverse of increasing maps of the real line onto itself, to the precision of the dtype.

    The interval [low, high] is only a first guess: it is made wider until it contains the root.

    Args:
        f: Map x -> (image, log-slope), both of x's shape.
        z: Images (...).
        low: First guess of a point at or below the root, (...).
        high: First guess of a point above it, (...).
        name: Name of the map in the message of the error.

    Returns:
        The root x with f(x) = z, and log dx/dz, both (...), with first and second derivatives by the implicit function rule.

    Raises:
        InversionError: The map does not reach z, so it is not onto. Compiled code does not check this.
    """

    def residual(x: Tensor) -> tuple[Tensor, Tensor]:
        image, log_slope = f(x)
        return image - z, log_slope.exp()

    with torch.no_grad():
        noise = 4 * torch.finfo(z.dtype).eps * (1 + z.abs())
        x = newton_bisect(residual, *_enclosing(residual, z, low, high, name), noise)
    x = implicit_root(residual, x)
    return x, -f(x)[1]


def implicit_root(residual: Slopes, x: Tensor) -> Tensor:
    """Return roots x of a residual with gradients with respect to all that the residual depends on.

    Recorded Newton steps at a root have the derivatives of the implicit function: one step the first derivatives, two steps
    also the second ones. Without gradients the roots are returned as they are.

    Args:
        residual: Function x -> (value, derivative).
        x: Roots, (...).
    """
    for _ in range(2 * torch.is_grad_enabled()):
        value, slope = residual(x)
        x = x - value / slope
    return x


def _enclosing(residual: Slopes, z: Tensor, low: Tensor, high: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Return an interval that contains the root of each residual, made wider step by step."""
    may_stop = eager(z, low)
    for left in reversed(range(EXPANSIONS if may_stop else COMPILED_EXPANSIONS)):
        # A comparison with NaN is false, so an image that is not a number does not keep the loop going.
        above, below = (residual(low)[0] > 0) & z.isfinite(), (residual(high)[0] < 0) & z.isfinite()
        outside = above | below
        if may_stop and not bool(outside.any()):
            break
        if may_stop and not left:
            missed = float(z[outside][0])
            raise InversionError(
                f"{name} has no inverse at {missed:.4g}, because it does not reach this value between "
                f"{float(low[outside][0]):.3g} and {float(high[outside][0]):.3g}; change its parameters"
            )
        width = GROWTH * (high - low)
        # The end that is already on the right side of the root becomes the other end of the next interval.
        low, high = (
            torch.where(above, low - width, torch.where(below, high, low)),
            torch.where(below, high + width, torch.where(above, low, high)),
        )
    return low, high


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
