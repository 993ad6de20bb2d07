"""Adaptive quadrature of a density in one or two dimensions.

The fixed grid of `Space.quadrature` is not enough here: it ends at 74, where some flows still have mass, and splines of some
libraries have ridges narrower than its cells. It would find masses from 0.0001 to 1.2 for densities whose mass is one.

The line is covered by x = sinh(u) with even cells in u, the circle by even cells. A cell is split until its estimate by
3 Gauss-Legendre points for each coordinate agrees with the sum of its parts, so that narrow ridges are found and followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..peers.case import HIGH, LOW

CELLS = 32
"""Number of cells for each coordinate at the start."""
SETTLED = 0.001
"""Error at which the quadrature stops: the sum over the cells of the changes by one more split."""
BUDGET = 4_000_000
"""Largest number of points."""
CHUNK = 100_000


def integrate(
    log_prob: Callable[[Tensor], Tensor], on_circle: Sequence[bool], reach: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return points, weights and log-densities whose weighted sum is the total mass.

    Args:
        log_prob: Function of points (B, D) in float64 that returns (B,).
        on_circle: Whether each of the D coordinates lives on the circle.
        reach: Largest absolute value of coordinates on the line.

    Returns:
        Points (N, D), weights (N,) and log-densities (N,).

    Raises:
        ArithmeticError: The density is NaN somewhere, or the sum does not settle.
    """
    circle = torch.tensor(on_circle)
    features = len(on_circle)
    nodes, node_weights = _gauss(features)
    width = torch.where(circle, HIGH - LOW, 2 * math.asinh(reach)).double()
    steps = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS - 0.5
    centre = _product([steps] * features) * width
    half = width / (2 * CELLS)

    def evaluate(centre: Tensor, half: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u = centre[:, None] + half * nodes
        x = torch.where(circle, u, u.sinh())
        weights = node_weights * (half * torch.where(circle, 1.0, u.cosh())).prod(-1)
        logp = torch.cat([log_prob(part) for part in x.flatten(0, 1).split(CHUNK)]).double()
        if bool(logp.isnan().any()):
            where = x.flatten(0, 1)[logp.isnan()][0].tolist()
            raise ArithmeticError(f"log_prob is NaN at x = ({', '.join(f'{v:.3g}' for v in where)})")
        return x, weights, logp.reshape(weights.shape)

    corners = _product([torch.tensor([-1.0, 1.0], dtype=torch.float64)] * features)
    x, weights, logp = evaluate(centre, half)
    mass = (weights * logp.exp()).sum(1)
    taken: list[tuple[Tensor, Tensor, Tensor]] = []
    used = logp.numel()
    while True:
        half = half / 2
        centre = (centre[:, None] + half * corners).flatten(0, 1)
        x, weights, logp = evaluate(centre, half)
        used += logp.numel()
        parts = (weights * logp.exp()).sum(1)
        error = (parts.reshape(-1, len(corners)).sum(1) - mass).abs()
        ranked, order = error.sort()
        settled = float(error.sum()) < SETTLED
        done = torch.ones_like(error, dtype=torch.bool)
        if not settled:
            done[order] = ranked.cumsum(0) < SETTLED / 10
        of_part = done.repeat_interleave(len(corners))
        taken.append((x[of_part].flatten(0, 1), weights[of_part].flatten(), logp[of_part].flatten()))
        if settled:
            x, weights, logp = (torch.cat(column) for column in zip(*taken, strict=True))
            return x, weights, logp
        if used + int((~of_part).sum()) * len(corners) * len(nodes) > BUDGET:
            total = sum(float((w * p.exp()).sum()) for _, w, p in taken) + float(parts[~of_part].sum())
            raise ArithmeticError(f"the quadrature does not settle; with {used} points it gives a mass of {total:.4g}")
        centre, mass = centre[~of_part], parts[~of_part]


def _gauss(features: int) -> tuple[Tensor, Tensor]:
    """Return the 3-point rule on [-1, 1] in each coordinate: nodes (3^D, D), weights (3^D,)."""
    nodes = torch.tensor([-math.sqrt(0.6), 0.0, math.sqrt(0.6)], dtype=torch.float64)
    weights = torch.tensor([5.0, 8.0, 5.0], dtype=torch.float64) / 9
    return _product([nodes] * features), _product([weights] * features).prod(1)


def _product(axes: list[Tensor]) -> Tensor:
    """Return every combination: (N1 N2 ..., D)."""
    return torch.cartesian_prod(*axes).reshape(-1, len(axes))
