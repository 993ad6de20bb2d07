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
        low: where the value is <= 0.
        high: where it is >= 0.
        noise: what rounding leaves of the value at a root, element by element; where the value is no larger, x stays.
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
