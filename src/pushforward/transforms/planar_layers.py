"""Planar layers bend space along one direction; radial layers stretch it around a centre.

    planar:  z = x + u tanh(w.x + b)             dlogp = log(1 + (w.u) tanh'(w.x + b))
    radial:  z = x + beta h (x - x_0)            dlogp = (D - 1) log(1 + beta h) + log(1 + alpha beta h^2)

with h = 1 / (alpha + |x - x_0|) (Rezende, Mohamed 2015, arXiv:1505.05770, eq. 10 to 14). Both inverses need one scalar root.
For the planar layer it is s = w.x + b, the solution of s + (w.u) tanh s = w.z + b, whose left side increases with s because
w.u > -1. For the radial layer it is the distance r = |x - x_0|, the positive root of
r^2 + (alpha + beta - rho) r - alpha rho = 0 with rho = |z - x_0|.

To draw samples by the closed form and not by the root, wrap the layers in `Inverse`, as posteriors do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core import Real, Transform, context_space
from ..errors import SpecError
from ..functional.bounds import positive
from ..functional.radial_profiles import rational_root
from ..functional.roots import tanh_root
from ..networks import Parameters

FLOOR = 1e-3
"""Smallest slope of a layer in any direction."""


def vectors(space: Real) -> int:
    """Return the length of the vectors of a space.

    Raises:
        SpecError: The events of the space are not vectors.
    """
    if len(space.shape) != 1 or not space.size:
        raise SpecError(f"expected a space of vectors, got {space}")
    return space.size


class Planar(Transform):
    """Planar layer z = x + u tanh(w.x + b), where u is moved along w so that w.u > -1.

    Args:
        space: Space of x and z, of shape (D,).
        context: Length of the context from which u, w and b are computed; 0 for none.
        hidden: Widths of the hidden layers of the network that computes them; an empty tuple gives a linear map.
        activation: Activation function of that network.

    Raises:
        SpecError: Events are not vectors.
    """

    def __init__(self, space: Real, *, context: int = 0, hidden: Sequence[int] = (), activation: str = "relu") -> None:
        super().__init__()
        size = vectors(space)
        self.x_space = self.z_space = space
        self.context = context_space(context)
        start = torch.cat([torch.zeros(size), torch.randn(size), torch.zeros(1)])
        self.parameters_of = Parameters(start, context, hidden, activation)

    def _made(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return u, w (B, D), b and m = w.u (B,)."""
        size = self.x_space.size
        u, w, b = self.parameters_of(context).split((size, size, 1), -1)
        # The division makes the effect of an optimiser step independent of the dimension.
        u, w = u / math.sqrt(size), w / math.sqrt(size)
        product = torch.linalg.vecdot(u, w).unsqueeze(-1)
        # `slope` is the new value of w.u, above -1. Adding (slope - w.u) w / |w|^2 to u achieves it.
        slope = positive(product, FLOOR) - 1
        square = torch.linalg.vecdot(w, w).unsqueeze(-1).clamp_min(torch.finfo(w.dtype).tiny)
        return u + (slope - product) / square * w, w, b.squeeze(-1), slope.squeeze(-1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, D) -> (B, D), (B,) in nats."""
        u, w, b, slope = self._made(context)
        t = torch.tanh(torch.linalg.vecdot(w, x) + b)
        return x + u * t.unsqueeze(-1), torch.log1p(slope * (1 - t.square()))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, from one scalar root per row: (B, D) -> (B, D), (B,) in nats."""
        u, w, b, slope = self._made(context)
        right = torch.linalg.vecdot(w, z) + b
        t = torch.tanh(tanh_root(slope.expand_as(right), right))
        return z - u * t.unsqueeze(-1), -torch.log1p(slope * (1 - t.square()))


class Radial(Transform):
    """Radial layer z = x + beta (x - x_0) / (alpha + |x - x_0|) with alpha > 0 and beta > -alpha.

    Args:
        space: Space of x and z, of shape (D,).
        context: Length of the context from which x_0, alpha and beta are computed; 0 for none.
        hidden: Widths of the hidden layers of the network that computes them; an empty tuple gives a linear map.
        activation: Activation function of that network.

    Raises:
        SpecError: Events are not vectors.
    """

    def __init__(self, space: Real, *, context: int = 0, hidden: Sequence[int] = (), activation: str = "relu") -> None:
        super().__init__()
        size = vectors(space)
        self.x_space = self.z_space = space
        self.context = context_space(context)
        self.parameters_of = Parameters(torch.cat([torch.randn(size), torch.zeros(2)]), context, hidden, activation)

    def _made(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return x_0 (B, D), alpha (B,) and beta (B,)."""
        centre, width, strength = self.parameters_of(context).split((self.x_space.size, 1, 1), -1)
        alpha = positive(width.squeeze(-1), FLOOR)
        return centre, alpha, alpha * (positive(strength.squeeze(-1), FLOOR) - 1)

    def _log_slopes(self, r: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        h = 1 / (alpha + r)
        return (self.x_space.size - 1) * torch.log1p(beta * h) + torch.log1p(alpha * beta * h.square())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, D) -> (B, D), (B,) in nats."""
        centre, alpha, beta = self._made(context)
        away = x - centre
        r = torch.linalg.vector_norm(away, dim=-1)
        return x + (beta / (alpha + r)).unsqueeze(-1) * away, self._log_slopes(r, alpha, beta)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp: (B, D) -> (B, D), (B,) in nats."""
        centre, alpha, beta = self._made(context)
        away = z - centre
        r = alpha * rational_root(torch.linalg.vector_norm(away, dim=-1) / alpha, beta / alpha)
        shrink = (alpha + r) / (alpha + r + beta)
        return centre + shrink.unsqueeze(-1) * away, -self._log_slopes(r, alpha, beta)
