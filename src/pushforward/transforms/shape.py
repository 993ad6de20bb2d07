"""Layers that rearrange the entries of an event without changing them: the log-determinant is 0."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..core import Space, Transform, Undo
from ..errors import ShapeError
from ..functional.squeezing import squeeze, unsqueeze


class Reshape(Transform):
    """Reshape of the event, with its entries in the same order.

    Args:
        space: Space of x.
        shape: Shape of z.

    Raises:
        ShapeError: The two shapes have different numbers of entries.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.x_space, self.z_space = space, dataclasses.replace(space, shape=tuple(shape))
        if self.x_space.size != self.z_space.size:
            raise ShapeError(f"expected {self.x_space.size} values as in {space}, got {self.z_space.size} in {shape}")

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and 0: (B, *x_space.shape) -> (B, *z_space.shape), (B,)."""
        return x.reshape(x.shape[0], *self.z_space.shape), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and 0: (B, *z_space.shape) -> (B, *x_space.shape), (B,)."""
        return z.reshape(z.shape[0], *self.x_space.shape), self._nothing(z)


class Squeeze(Transform):
    """Squeeze blocks of positions into channels: (C, H, W) -> (C f^2, H / f, W / f).

    Channel c at row i and column j of a block becomes channel c f^2 + i f + j (Dinh et al. 2017, arXiv:1605.08803,
    section 3.6).

    Args:
        space: Space of x, of shape (C, H, W).
        factor: Side f of a block, at least 1.

    Raises:
        ShapeError: Events are not images, or f does not divide their height and width.
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
        """Return z and 0: (B, C, H, W) -> (B, C f^2, H / f, W / f), (B,)."""
        return squeeze(x, self.factor), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and 0: (B, C f^2, H / f, W / f) -> (B, C, H, W), (B,)."""
        return unsqueeze(z, self.factor), self._nothing(z)


class Checkerboard(Transform):
    """Rearrangement that puts the two colours of a checkerboard into channels: (C, H, W) -> (2 C, H, W / 2).

    The first C channels hold the positions with even row + column. A coupling of channel halves after this layer is a
    coupling of the two colours, at half the cost of a mask (Ho et al. 2019, arXiv:1902.00275, appendix).

    Args:
        space: Space of x, of shape (C, H, W).

    Raises:
        ShapeError: Events are not images, or their width is odd.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space) -> None:
        super().__init__()
        c, h, w = image_shape(space)
        if w % 2:
            raise ShapeError(f"expected an even width, got {h} x {w}; pad or resize the images")
        self.x_space, self.z_space = space, dataclasses.replace(space, shape=(2 * c, h, w // 2))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and 0: (B, C, H, W) -> (B, 2 C, H, W / 2), (B,)."""
        left, right = x.unflatten(3, (-1, 2)).unbind(4)
        odd = self._odd_rows(x)
        return torch.cat([torch.where(odd, right, left), torch.where(odd, left, right)], 1), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and 0: (B, 2 C, H, W / 2) -> (B, C, H, W), (B,)."""
        even, uneven = z.chunk(2, 1)
        odd = self._odd_rows(z)
        pair = torch.stack([torch.where(odd, uneven, even), torch.where(odd, even, uneven)], 4)
        return pair.flatten(3), self._nothing(z)

    @staticmethod
    def _odd_rows(v: Tensor) -> Tensor:
        return (torch.arange(v.shape[2], device=v.device) % 2 == 1)[:, None]


class Tokens(Transform):
    """Rearrangement of an image into tokens: positions in reading order, each with all channels, (C, H, W) -> (H W, C).

    Args:
        space: Space of x, of shape (C, H, W).

    Raises:
        ShapeError: Events are not images.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space) -> None:
        super().__init__()
        c, h, w = image_shape(space)
        self.x_space, self.z_space = space, dataclasses.replace(space, shape=(h * w, c))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and 0: (B, C, H, W) -> (B, H W, C), (B,)."""
        return x.flatten(2).mT, self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and 0: (B, H W, C) -> (B, C, H, W), (B,)."""
        return z.mT.reshape(z.shape[0], *self.x_space.shape), self._nothing(z)


class ChannelsFirst(Transform):
    """Rearrangement of a clip, a picture for each of T frames, with its channels first: (T, C, H, W) -> (C, T, H, W).

    Args:
        space: Space of x, of shape (T, C, H, W).

    Raises:
        ShapeError: Events do not have four dimensions.
    """

    undo = Undo.BOTH

    def __init__(self, space: Space) -> None:
        super().__init__()
        if len(space.shape) != 4:
            raise ShapeError(f"expected a space of clips (frames, channels, height, width), got {space}")
        t, c, h, w = space.shape
        self.x_space, self.z_space = space, dataclasses.replace(space, shape=(c, t, h, w))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and 0: (B, T, C, H, W) -> (B, C, T, H, W), (B,)."""
        return x.transpose(1, 2), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and 0: (B, C, T, H, W) -> (B, T, C, H, W), (B,)."""
        return z.transpose(1, 2), self._nothing(z)


def image_shape(space: Space) -> tuple[int, int, int]:
    """Return the channels, height and width of a space of images.

    Raises:
        ShapeError: The space does not have three dimensions.
    """
    if len(space.shape) != 3:
        raise ShapeError(f"expected a space of images (channels, height, width), got {space}")
    c, h, w = space.shape
    return c, h, w
