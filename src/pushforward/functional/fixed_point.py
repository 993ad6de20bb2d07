"""Fixed points: of triangular systems x_i = g_i(x_<i) by Jacobi iteration, and of contractions by Anderson acceleration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def jacobi(sweep: Callable[[Tensor], Tensor], start: Tensor, depth: int, tolerance: float) -> Tensor:
    """Return the fixed point of a map whose output i depends only on inputs before i, by Jacobi iteration.

    After k sweeps the first k coordinates are exact for every start, so `depth` sweeps are always enough. Most systems need far
    fewer (Song et al. 2021, arXiv:2002.03629). The iteration stops when a sweep changes no coordinate by more than `tolerance`
    relative to its row. This change is the residual of the system, so the result is verified. Compiled code, and code
    that records gradients, always runs `depth` sweeps.

    Args:
        sweep: Function (B, D, ...) -> (B, D, ...), the map.
        start: First guess, (B, D, ...).
        depth: Number of coordinates D, or the length of the longest chain of dependencies.
        tolerance: Largest change, relative to 1 + the largest absolute value of the row.
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
    """Return the fixed points of a contraction, row by row and without gradients, by Anderson acceleration of x <- step(x).

    With L the constant of the contraction, step(x) is within L / (1 - L) |step(x) - x| of the fixed point, for every x.
    This is the returned bound, and it allows any choice of the next x. Here x is the combination of the last images
    whose residuals cancel best (Anderson 1965; Walker and Ni 2011, algorithm AA). If that made the residual of a row
    larger, the row continues from its best point, where a plain step reduces the error by the factor L at least. A
    linear step in D dimensions needs at most D + 1 iterations.

    Args:
        step: Function (B, *E) -> (B, *E), the contraction, which treats rows independently.
        start: First guess, (B, *E).
        factor: Constant L / (1 - L).
        enough: Bound to reach for each row, (B,).
        iterations: Largest number of iterations.
        memory: Number of images that are combined.

    Returns:
        The last images (B, *E) and their bounds (B,); some bounds are above `enough` if `iterations` was too small.
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
            # `any(bound > enough)` and not `all(bound <= enough)`: NaN also ends the iteration.
            if not bool((bound > enough).any()):
                break
            images, residuals = [*images, image.flatten(1)][-memory:], [*residuals, residual][-memory:]
            following = torch.where(worse[:, None], best, _combined(images, residuals))
            x = following.reshape(start.shape)
        return best.reshape(start.shape), bound


def _combined(images: list[Tensor], residuals: list[Tensor]) -> Tensor:
    """Return the combination of the images, with weights that sum to one, that minimises the norm of the residual: (B, D).

    With differences dG of the images and dR of the residuals, it is g_last - dG w, where w solves the least-squares problem
    min |r_last - dR w| by its normal equations.
    """
    if len(images) == 1:
        return images[0]
    moves, changes = torch.stack(images, 1).diff(dim=1), torch.stack(residuals, 1).diff(dim=1)
    gram = changes @ changes.mT
    # The Gram matrix is singular if there are more residuals than dimensions, or if they are zero: add a small ridge.
    numbers = torch.finfo(gram.dtype)
    ridge = 100 * numbers.eps * gram.diagonal(dim1=1, dim2=2).sum(1) + numbers.tiny**0.5
    gram = gram + ridge[:, None, None] * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram, changes @ residuals[-1].unsqueeze(-1))
    return images[-1] - (moves.mT @ weights).squeeze(-1)
