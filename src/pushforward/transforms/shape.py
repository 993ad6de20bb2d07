"""Layers that move numbers without changing them: the log-determinant is 0."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from ..core import Space, Transform, Undo
from ..errors import ShapeError


class Reshape(Transform):
    """The same numbers in another shape.

    Args:
        space: of x.
        shape: of z.

    Raises:
        ShapeError: the two shapes hold different numbers of values.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.x_space, self.z_space = space, dataclasses.replace(space, shape=tuple(shape))
        if self.x_space.size != self.z_space.size:
            raise ShapeError(f"expected {self.x_space.size} values as in {space}, got {self.z_space.size} in {shape}")

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *x shape) -> (B, *z shape), 0."""
        return x.reshape(-1, *self.z_space.shape), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *z shape) -> (B, *x shape), 0."""
        return z.reshape(-1, *self.x_space.shape), self._nothing(z)
