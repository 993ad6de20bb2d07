"""Autoregressive layers: each coordinate is mapped with parameters made from the coordinates before it.

    z_i = f(x_i; net_i(x_<i, context)),    dlogp = sum_i log f'(x_i)

The Jacobian is triangular (Papamakarios et al. 2017, arXiv:1705.07057, section 3). Forward is one pass. The inverse solves
for one coordinate after the other; with a `MADE` that costs about one pass too, because each hidden unit is computed once,
as soon as the last coordinate that it sees is known. With any other network it is a Jacobi iteration: sweeps of one pass
each, stopped when they no longer change anything, and exact after D of them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Real, Space, Transform
from ..errors import SpecError
from ..functional.bounds import sum_events
from ..functional.fixed_point import jacobi
from ..networks import MADE
from .scalar import Scalar


class Autoregressive(Transform):
    """z_i = scalar(x_i; net_i(x_<i)).

    Args:
        scalar: the map.
        space: of x and z, of shape (D,).
        net: from (B, D) and the context to (B, D, scalar.n), where output i depends on no x_j from i on, in some order:
            a `MADE`, or any network with that property.
        context: length of the context, 0 for none.
        tolerance: at which the Jacobi iteration stops, relative to the largest coordinate of a row; None is 16 times the
            dtype's resolution. Unused with a `MADE`, whose inverse is exact.

    Raises:
        SpecError: the space is not a vector, or the map or the network does not fit it.
    """

    def __init__(
        self, scalar: Scalar, space: Space, net: nn.Module, *, context: int = 0, tolerance: float | None = None
    ) -> None:
        super().__init__()
        scalar.check(space)
        if len(space.shape) != 1:
            raise SpecError(f"expected a space of vectors, got {space}")
        if isinstance(net, MADE) and (net.features, net.n) != (space.size, scalar.n):
            raise SpecError(
                f"expected a MADE of {space.size} features with {scalar.n} parameters each, "
                f"got {net.features} with {net.n}"
            )
        self.scalar, self.net, self.tolerance = scalar, net, tolerance
        self.x_space = self.z_space = space
        self.context = Real((context,)) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, D) -> (B, D), (B,); one pass."""
        z, slopes = self.scalar.forward(x, self.net(x, context))
        return z, sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Coordinate by coordinate: about one pass with a MADE, a few with another network."""
        if isinstance(self.net, MADE) and not (self.training and self.net.dropout is not None):
            return self._unroll(self.net, z, context)
        tolerance = 16 * torch.finfo(z.dtype).eps if self.tolerance is None else self.tolerance
        x = jacobi(
            lambda x: self.scalar.inverse(z, self.net(x, context))[0], torch.zeros_like(z), z.shape[1], tolerance
        )
        return x, sum_events(self.scalar.inverse(z, self.net(x, context))[1])

    def _unroll(self, net: MADE, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        columns = z.mT.contiguous()
        slopes = []

        def step(i: int, p: Tensor) -> Tensor:
            x, slope = self.scalar.inverse(columns[i], p)
            slopes.append(slope)
            return x

        x = net.unroll(step, z, context)
        return x, torch.stack(slopes).sum(0) if slopes else z.new_zeros(z.shape[0])
