"""Layers that move numbers without changing them: the log-determinant is 0."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..core import Space, Transform, Undo
from ..errors import ShapeError
from ..functional.squeezing import squeeze, unsqueeze


class Reshape(Transform):
    """The same numbers in another shape.

    Args:
        space: Space of x.
        shape: Shape of z.

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
        return x.reshape(x.shape[0], *self.z_space.shape), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *z shape) -> (B, *x shape), 0."""
        return z.reshape(z.shape[0], *self.x_space.shape), self._nothing(z)


class Squeeze(Transform):
    """Blocks of positions to channels: (C, H, W) -> (C f^2, H / f, W / f) (Dinh et al. 2017, arXiv:1605.08803, section 3.6).

    Channel c of a block's row i and column j becomes channel c f^2 + i f + j.

    Args:
        space: Space of x, of shape (C, H, W).
        factor: f.

    Raises:
        ShapeError: no image, or f does not divide its height and width.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space, factor: int = 2) -> None:
        super().__init__()
        c, h, w = image_shape(space)
        if factor < 1 or h % factor or w % factor:
            raise ShapeError(
                f"expected a height and width that {factor} divides, got {h} x {w}; pad or resize the images"
            )
        self.x_space, self.factor = space, factor
        self.z_space = dataclasses.replace(space, shape=(c * factor**2, h // factor, w // factor))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> (B, C f^2, H / f, W / f), 0."""
        return squeeze(x, self.factor), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Back, 0."""
        return unsqueeze(z, self.factor), self._nothing(z)


class Checkerboard(Transform):
    """The two colours of a checkerboard side by side in the channels: (C, H, W) -> (2 C, H, W / 2).

    The first C channels hold the positions whose row and column add up to an even number. A coupling of channel halves
    after this layer is a coupling of the colours, at half the cost of a mask (Ho et al. 2019, arXiv:1902.00275, appendix).

    Args:
        space: Space of x, of shape (C, H, W).

    Raises:
        ShapeError: no image, or one of an odd width.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space) -> None:
        super().__init__()
        c, h, w = image_shape(space)
        if w % 2:
            raise ShapeError(f"expected an even width, got {h} x {w}; pad or resize the images")
        self.x_space, self.z_space = space, dataclasses.replace(space, shape=(2 * c, h, w // 2))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> (B, 2 C, H, W / 2), 0."""
        left, right = x.unflatten(3, (-1, 2)).unbind(4)
        odd = self._odd_rows(x)
        return torch.cat([torch.where(odd, right, left), torch.where(odd, left, right)], 1), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Back, 0."""
        even, uneven = z.chunk(2, 1)
        odd = self._odd_rows(z)
        pair = torch.stack([torch.where(odd, uneven, even), torch.where(odd, even, uneven)], 4)
        return pair.flatten(3), self._nothing(z)

    @staticmethod
    def _odd_rows(v: Tensor) -> Tensor:
        return (torch.arange(v.shape[2], device=v.device) % 2 == 1)[:, None]


class Tokens(Transform):
    """Positions in reading order as tokens of all channels: (C, H, W) -> (H W, C).

    Args:
        space: Space of x, of shape (C, H, W).

    Raises:
        ShapeError: no image.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space) -> None:
        super().__init__()
        c, h, w = image_shape(space)
        self.x_space, self.z_space = space, dataclasses.replace(space, shape=(h * w, c))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> (B, H W, C), 0."""
        return x.flatten(2).mT, self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Back, 0."""
        return z.mT.reshape(z.shape[0], *self.x_space.shape), self._nothing(z)


def image_shape(space: Space) -> tuple[int, int, int]:
    """Channels, height and width of an image's space.

    Raises:
        ShapeError: it has other than three dimensions.
    """
    if len(space.shape) != 3:
        raise ShapeError(f"expected a space of images (channels, height, width), got {space}")
    c, h, w = space.shape
    return c, h, w
