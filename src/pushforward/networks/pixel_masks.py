"""Masked convolutions of pictures that are visited row by row, and channel by channel inside a pixel.

A token is a sub-pixel, such as the red value of a pixel, or a whole pixel. The channels of every feature map are divided into
groups, one for each token of a pixel. Features of group g depend on earlier pixels, and on the tokens of their own pixel
before token g (van den Oord et al. 2016, arXiv:1601.06759, section 3.4 and figure 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from .pixel_walk import Walk

Sees = Literal["before", "here", "row"]
"""Part of its own row that a convolution sees: the tokens before (mask A), also its own (mask B), or all of the row."""


def groups_of(channels: int, tokens: int) -> Tensor:
    """Return the group of each channel: `tokens` blocks of neighbouring channels, of sizes that differ by at most 1."""
    return torch.arange(channels) * tokens // channels


def group_slice(channels: int, tokens: int, g: int) -> slice:
    """Return the channels of group g, those to which `groups_of` gives this number."""
    return slice(-(-g * channels // tokens), -(-(g + 1) * channels // tokens))


class MaskedConv2d(nn.Conv2d):
    """Convolution that sees rows above, and a part of its own row.

    The kernel ends with the row of the output, because rows below would all be masked.

    Args:
        inputs: Number of channels of x.
        outputs: Number of channels of the result.
        reach: Number of rows above, and of columns on either side, that an output sees.
        sees: Part of its own row that an output sees.
        tokens: Number of tokens of a pixel.
        parts: Number of equal blocks of output channels, such as the gates of an LSTM; each block has all groups.
    """

    mask: Tensor
    group: Tensor

    def __init__(
        self, inputs: int, outputs: int, reach: tuple[int, int], *, sees: Sees, tokens: int = 1, parts: int = 1
    ) -> None:
        self.up, self.side = reach
        # A kernel of one row has no weights for the columns on the right, which would be masked.
        self.right = self.side if self.up or sees == "row" else 0
        super().__init__(inputs, outputs, (self.up + 1, self.side + 1 + self.right))
        self.sees, self.tokens = sees, tokens
        seen = [(y - self.up, x - self.side) for y in range(self.up + 1) for x in range(self.side + 1 + self.right)]
        self.places = [place for place in seen if place < (0, 0)]
        """Offsets (rows, columns) of the earlier pixels that an output sees, in raster order."""
        group, source = groups_of(outputs // parts, tokens).repeat(parts), groups_of(inputs, tokens)
        mask = torch.ones_like(self.weight)
        if sees != "row":
            mask[:, :, -1, self.side + 1 :] = 0
            own = group[:, None] > source if sees == "before" else group[:, None] >= source
            mask[:, :, -1, self.side] = own.to(mask.dtype)
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("group", group, persistent=False)

    def forward(self, x: Tensor, walk: Walk | None = None, added: Tensor | None = None) -> Tensor:
        """Return the convolution of x plus `added`.

        Args:
            x: Feature map (B, inputs, H, W). With a walk: the features of the walk's token, (channels of its group, B); not
                used by convolutions that see only tokens before.
            walk: Walk through the picture, in which one token is computed at a time; None to compute all of them.
            added: Map that is added to the result, (B or 1, outputs, H or 1, W or 1); or None.

        Returns:
            Feature map (B, outputs, H, W); or the output channels of the token's group, (channels, B).
        """
        if walk is not None:
            return walk.convolve(self, x, added)
        h = self.over(F.pad(x, (self.side, self.right, self.up, 0)) if self.up or self.side else x)
        return h if added is None else h + added

    def over(self, x: Tensor) -> Tensor:
        """Return the convolution of a map that already has the margins which the kernel needs."""
        return F.conv2d(x, self.weight * self.mask, self.bias)

    def last_row(self, window: Tensor) -> Tensor:
        """Return the outputs of one row from it and the rows above that the kernel needs: (B, inputs, up + 1, W)."""
        return self.over(F.pad(window, (self.side, self.right)))

    def matrix(self, g: int) -> tuple[Tensor, Tensor]:
        """Return weights and biases of the outputs of group g, (rows, columns) and (rows, 1).

        The columns belong to the channels of the pixels in `places`, and then to those groups of the same pixel that the
        outputs see.
        """
        rows = (self.group == g).nonzero().squeeze(1)
        weight = (self.weight * self.mask)[rows]
        flat = weight.flatten(2)[:, :, : len(self.places)].mT.flatten(1)
        seen = g + 1 if self.sees == "here" else g
        own = weight[:, : group_slice(self.in_channels, self.tokens, seen).start, -1, self.side]
        assert self.bias is not None  # noqa: S101  (for the type checker: the constructor makes one)
        return torch.cat([flat, own], 1), self.bias[rows, None]


def channels_dim(h: Tensor) -> int:
    """Return the dimension of the channels, in feature maps (B, channels, H, W) or columns (channels, B)."""
    return 0 if h.dim() == 2 else 1


def gate(h: Tensor) -> Tensor:
    """Return tanh(a) sigmoid(b) for the two halves a and b of the channels."""
    a, b = h.chunk(2, channels_dim(h))
    return torch.tanh(a) * torch.sigmoid(b)
