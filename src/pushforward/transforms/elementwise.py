"""Element-wise layers: every coordinate has parameters of its own, and sees no other.

z_i = f(x_i; p_i),    dlogp = sum_i log f'(x_i; p_i)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Real, Space, Transform, Undo
from ..functional.bounds import sum_events
from ..networks import MLP
from .scalar import Scalar


class Elementwise(Transform):
    """A scalar map with one learned set of parameters for each coordinate, or with parameters from the context.

    Args:
        scalar: the map.
        space: of x and z.
        context: length of the context, 0 for none; with one, a network makes the parameters.
        hidden: widths of that network.

    Raises:
        SpecError: the map does not map `space` onto itself.
    """

    def __init__(self, scalar: Scalar, space: Space, *, context: int = 0, hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__()
        scalar.check(space)
        self.scalar, self.x_space, self.z_space = scalar, space, space
        self.undo = Undo.INVERSE if scalar.numeric_inverse else Undo.BOTH
        self.free = nn.Parameter(torch.zeros(*space.shape, scalar.n))
        self.net = MLP(0, space.size * scalar.n, hidden=hidden, context=context) if context else None
        self.context = Real((context,)) if context else None

    def _parameters_of(self, v: Tensor, context: Tensor | None) -> Tensor:
        if self.net is None:
            return self.free.expand(v.shape[0], *self.free.shape)
        return self.free + self.net(v.new_empty(v.shape[0], 0), context).reshape(-1, *self.free.shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape) -> (B, *shape), (B,)."""
        z, slopes = self.scalar.forward(x, self._parameters_of(x, context))
        return z, sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The map's inverse, element by element."""
        x, slopes = self.scalar.inverse(z, self._parameters_of(z, context))
        return x, sum_events(slopes)
