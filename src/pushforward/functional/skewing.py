"""Skewed feature maps: row i is shifted by i columns, so that a diagonal of the picture becomes a column.

Van den Oord et al. 2016, arXiv:1601.06759, section 3.2 and figure 3.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def skew(x: Tensor) -> Tensor:
    """Return the map whose entry (i, i + j) is x[i, j], and 0 elsewhere: (..., H, W) -> (..., H, W + H - 1)."""
    height, width = x.shape[-2:]
    # Written row after row with W + H columns and read with W + H - 1, each row starts one column later than the one before.
    flat = F.pad(x, (0, height)).flatten(-2)[..., :-height]
    return flat.unflatten(-1, (height, width + height - 1))


def unskew(x: Tensor) -> Tensor:
    """Return the map of which `skew` returns x: (..., H, W + H - 1) -> (..., H, W)."""
    height, wide = x.shape[-2:]
    flat = F.pad(x.flatten(-2), (0, height))
    return flat.unflatten(-1, (height, wide + 1))[..., : wide - height + 1]
