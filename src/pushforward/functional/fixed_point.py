"""Fixed points: of triangular systems of any kind, x_i = g_i(x_<i), by Jacobi's iteration, and of contractions, accelerated."""

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


def contracted(
    step: Callable[[Tensor], Tensor], start: Tensor, factor: float, enough: Tensor, iterations: int, memory: int = 5
) -> tuple[Tensor, Tensor]:
    """The fixed points of a contraction, row by row, without gradients: Anderson's acceleration of x <- step(x).

    With L the constant of the contraction, step(x) is within L / (1 - L) |step(x) - x| of the fixed point, whatever x is: that
    is the bound returned, and why x may be chosen freely. It is the combination of the last images whose residuals cancel best
    (Anderson 1965; Walker and Ni 2011, algorithm AA); a row that it made worse goes on from the best point that it had,
    where a plain step gets closer by L at least. For a linear step of D dimensions, D + 1 iterations are enough.

    Args:
        step: (B, *E) -> (B, *E), each row for itself.
        start: (B, *E).
        factor: L / (1 - L).
        enough: (B,), the bound to reach.
        iterations: at most.
        memory: residuals to combine.

    Returns:
        The last images (B, *E) and their bounds (B,), some above `enough` after all iterations.
    """
    with torch.no_grad():
        x = start
        images: list[Tensor] = []
        residuals: list[Tensor] = []
        best_size = torch.full(start.shape[:1], torch.inf, dtype=start.dtype, device=start.device)
        best = start.flatten(1)
        bound = best_size
        for _ in range(iterations):
            image = step(x)
            residual = (image - x).flatten(1)
            size = residual.norm(dim=1)
            worse = size > best_size
            best = torch.where(worse[:, None], best, image.flatten(1))
            best_size = torch.where(worse, best_size, size)
            bound = factor * best_size
            # Not `all(bound <= enough)`: numbers that are not finite end it too.
            if not bool((bound > enough).any()):
                break
            images, residuals = [*images, image.flatten(1)][-memory:], [*residuals, residual][-memory:]
            following = torch.where(worse[:, None], best, _combined(images, residuals))
            x = following.reshape(start.shape)
        return best.reshape(start.shape), bound


def _combined(images: list[Tensor], residuals: list[Tensor]) -> Tensor:
    """The combination of the images whose residuals have the least square sum: (B, D)."""
    if len(images) == 1:
        return images[0]
    moves, changes = torch.stack(images, 1).diff(dim=1), torch.stack(residuals, 1).diff(dim=1)
    gram = changes @ changes.mT
    # Residuals that lie in fewer dimensions than there are of them make it singular, and so do residuals of zero.
    numbers = torch.finfo(gram.dtype)
    ridge = 100 * numbers.eps * gram.diagonal(dim1=1, dim2=2).sum(1) + numbers.tiny**0.5
    gram = gram + ridge[:, None, None] * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram, changes @ residuals[-1].unsqueeze(-1))
    return images[-1] - (moves.mT @ weights).squeeze(-1)
