"""Operations on pictures (B, C, H, W): conditions at every position, and squeezing."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def at_positions(context: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return a condition with one value of each channel at every position.

    Args:
        context: Condition (B, c), equal at all positions, or a picture (B, c, h, w), which adaptive average pooling brings
            to the size; pooling repeats values if the size is larger.
        size: Size (H, W); () returns vectors unchanged.

    Returns:
        Condition of shape (B, c, *size).
    """
    if context.dim() == 2:
        return context[(..., *(None for _ in size))].expand(-1, -1, *size)
    height, width = size
    return context if context.shape[2:] == size else F.adaptive_avg_pool2d(context, (height, width))


def squeeze(x: Tensor, factor: int) -> Tensor:
    """Move blocks of positions to channels: (B, C, H, W) -> (B, C f^2, H / f, W / f); a block's f^2 values are neighbours."""
    b, c, h, w = x.shape
    blocks = x.reshape(b, c, h // factor, factor, w // factor, factor)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(b, c * factor**2, h // factor, w // factor)


def unsqueeze(z: Tensor, factor: int) -> Tensor:
    """Move channels to blocks of positions, the inverse of `squeeze`."""
    b, c, h, w = z.shape
    blocks = z.reshape(b, c // factor**2, factor, factor, h, w)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(b, c // factor**2, h * factor, w * factor)
