"""Pictures as tensors (B, C, H, W): conditions at every position, squeezing, wavelets."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def at_positions(context: Tensor, size: tuple[int, ...]) -> Tensor:
    """A condition with one value of each channel at every position.

    Args:
        context: (B, c), the same everywhere, or (B, c, h, w), a picture, brought to the size by adaptive averages, which
            repeat values where the size is larger.
        size: (H, W); () leaves vectors as they are.

    Returns:
        (B, c, *size).
    """
    if context.dim() == 2:
        return context[(..., *(None for _ in size))].expand(-1, -1, *size)
    height, width = size
    return context if context.shape[2:] == size else F.adaptive_avg_pool2d(context, (height, width))


def squeeze(x: Tensor, factor: int) -> Tensor:
    """Space to channels: (B, C, H, W) -> (B, C f^2, H / f, W / f), the f^2 numbers of a block side by side in the channels."""
    b, c, h, w = x.shape
    blocks = x.reshape(b, c, h // factor, factor, w // factor, factor)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(b, c * factor**2, h // factor, w // factor)


def unsqueeze(z: Tensor, factor: int) -> Tensor:
    """Channels to space: the inverse of `squeeze`."""
    b, c, h, w = z.shape
    blocks = z.reshape(b, c // factor**2, factor, factor, h, w)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(b, c // factor**2, h * factor, w * factor)
