"""Jacobi iteration for triangular systems of any kind: x_i = g_i(x_<i)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def jacobi(sweep: Callable[[Tensor], Tensor], start: Tensor, depth: int, tolerance: float) -> Tensor:
    """The fixed point of a sweep in which output i depends on inputs before i only.

    After k sweeps the first k coordinates are exact, whatever the start, so `depth` sweeps are always enough; most
    systems need far fewer (Song et al. 2021, arXiv:2002.03629). Stops early when a sweep changes no coordinate by more
    than `tolerance` relative to its row: that change is the residual of the system, so the answer is verified. Compiled
    code, and code that records gradients, does all `depth` sweeps.

    Args:
        sweep: (B, D, ...) -> (B, D, ...).
        start: (B, D, ...).
        depth: D, or the length of the longest dependency path.
        tolerance: relative to 1 + the largest absolute value of the row.
    """
    x = start
    for _ in range(depth):
        new = sweep(x)
        if not torch.compiler.is_compiling() and not torch.is_grad_enabled():
            settled = (new - x).abs().flatten(1) <= tolerance * (1 + new.abs().flatten(1).amax(1, keepdim=True))
            if bool(settled.all()):
                return new
        x = new
    return x
