"""Space of shares that sum to one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint

from ..errors import SpecError
from .space import Space, rows


@dataclass(frozen=True)
class Simplex(Space):
    """Vectors of numbers >= 0 (shares) along the last dimension that sum to one.

    Densities are with respect to Lebesgue measure on all entries but the last, as for torch's Dirichlet distribution. The
    tangent basis matches this measure, and is therefore not orthonormal.

    Args:
        shape: Shape of one event, (..., K) with K at least 2.

    Raises:
        SpecError: The last dimension has fewer than two entries.
    """

    def __post_init__(self) -> None:
        """Check that vectors have at least two entries."""
        super().__post_init__()
        if not self.shape or self.shape[-1] < 2:
            raise SpecError(f"expected a shape that ends in at least 2 shares, got {self.shape}")

    @property
    def dim(self) -> int:
        """Dimension of the space: `size` minus one for each vector."""
        return self.size - math.prod(self.shape[:-1])

    @property
    def constraint(self) -> Constraint:
        """Torch constraint: a simplex along the last dimension."""
        return constraints.independent(constraints.simplex, len(self.shape) - 1)

    def on_edge(self, x: Tensor) -> Tensor:
        """Return which rows have an entry of zero."""
        return ~rows(x > 0)

    @property
    def bounded(self) -> bool:
        """Whether some vectors lie outside: True."""
        return True

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows have entries >= 0 that sum to one, up to rounding."""
        return rows(x >= 0) & rows((x.sum(-1) - 1).abs() < 8 * self.shape[-1] * torch.finfo(x.dtype).eps)

    def nearest(self, x: Tensor) -> Tensor:
        """Return x with negative entries set to zero, divided by the sums; rows inside are unchanged."""
        positive = x.clamp_min(0) + torch.finfo(x.dtype).tiny
        inside = self.contains(x).reshape(-1, *[1] * len(self.shape))
        return torch.where(inside, x, positive / positive.sum(-1, keepdim=True))

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n uniformly distributed points."""
        # Exponential variables divided by their sum are uniform on the simplex (Dirichlet with all parameters one).
        y = -torch.rand(n, *self.shape, dtype=torch.float64).clamp_min(1e-12).log()
        return (y / y.sum(-1, keepdim=True)).to(dtype)

    def another(self, x: Tensor) -> Tensor:
        """Return the midpoints between x and the corner of its smallest entry."""
        corner = torch.nn.functional.one_hot(x.argmin(-1), self.shape[-1]).to(x.dtype)
        return (x + corner) / 2

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return a rule for one vector of two or three entries: x_1 = u; or x_1 = u, x_2 = (1 - u) v, with u, v in (0, 1)."""
        if len(self.shape) != 1 or self.shape[-1] > 3:
            return super().quadrature(points)
        cells = 600
        u = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
        if self.shape[-1] == 2:
            return torch.stack([u, 1 - u], 1), torch.full_like(u, 1 / cells)
        first, second = torch.cartesian_prod(u, u).unbind(1)
        second = (1 - first) * second
        # The Jacobian of (u, v) -> (u, (1 - u) v) is 1 - u.
        return torch.stack([first, second, 1 - first - second], 1), (1 - first) / cells**2

    def tangent(self, x: Tensor) -> Tensor:
        """Return for each entry but the last of a vector the direction that raises it and lowers the last entry."""
        vectors, k = math.prod(self.shape[:-1]), self.shape[-1]
        one = torch.cat([torch.eye(k - 1, dtype=x.dtype), -torch.ones(1, k - 1, dtype=x.dtype)])
        return torch.block_diag(*[one] * vectors).to(x.device).expand(x.shape[0], -1, -1)
