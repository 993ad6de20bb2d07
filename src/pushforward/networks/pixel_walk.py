"""Walks through a picture, token by token: earlier features are kept, so that all tokens together cost about one pass.

A feature of a token depends on features of earlier pixels and of its own pixel, and these never change once they are computed.
Each layer therefore computes only the column of the new token: one product of a small matrix with the columns around it.
Columns have the shape (channels, B), so that those of neighbouring pixels are put together without moving memory.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from .pixel_masks import MaskedConv2d, group_slice


class Strip:
    """Columns of a feature map, for the pixels that later ones still need.

    Args:
        tokens: Number of tokens of a pixel; a pixel is complete when as many pieces were added.
        reach: Number of rows above the present one that are kept.
    """

    def __init__(self, tokens: int, reach: int) -> None:
        self.tokens, self.reach = tokens, reach
        self.columns: dict[tuple[int, int], Tensor] = {}
        self.pieces: tuple[Tensor, ...] = ()
        self.at: tuple[int, int] | None = None

    def add(self, i: int, j: int, piece: Tensor) -> None:
        """Add the features of the next group at row i and column j, (..., channels, B)."""
        self.pieces = (*self.here(i, j), piece)
        self.at = (i, j)
        if len(self.pieces) == self.tokens:
            self.columns[i, j] = torch.cat(self.pieces, -2) if self.tokens > 1 else piece
            self.columns.pop((i - self.reach - 1, j), None)

    def here(self, i: int, j: int) -> tuple[Tensor, ...]:
        """Return the pieces of this pixel that were added so far."""
        return self.pieces if self.at == (i, j) else ()

    def get(self, i: int, j: int) -> Tensor | None:
        """Return the column of a complete pixel, or None outside of the picture."""
        return self.columns.get((i, j))

    def row(self, i: int, width: int) -> Tensor:
        """Return a complete row, (B, channels, width)."""
        return torch.stack([self.columns[i, j] for j in range(width)], -1).transpose(0, 1)

    def copied(self) -> Strip:
        """Return a strip to which columns can be added without a change of this one."""
        new = copy.copy(self)
        new.columns = dict(self.columns)
        return new


class Walk:
    """Position in a picture, and the features that are known there.

    Args:
        size: Tokens of a pixel, height and width.
        rows: Tensor with the length, dtype and device of the batch; its values are not used.
        added: Maps that are added to the features of the layers, (B or 1, channels, H or 1, W or 1) each, or None.
    """

    def __init__(self, size: tuple[int, int, int], rows: Tensor, added: tuple[Tensor | None, ...]) -> None:
        self.channels, self.height, self.width = size
        self.rows, self.added = rows, added
        self.i = self.j = self.g = 0
        self.done = 0
        self.strips: dict[tuple[nn.Module, str], Strip] = {}
        self.lines: dict[tuple[nn.Module, str], Any] = {}
        """Results of layers for the row above, by the layer and a name."""
        self.matrices: dict[tuple[nn.Module, int], tuple[Tensor, Tensor]] = {}
        self.tokens = Strip(self.channels, self.height)

    def go_to(self, t: int) -> None:
        """Move to token t."""
        pixel, self.g = divmod(t, self.channels)
        self.i, self.j = divmod(pixel, self.width)

    def tell(self, token: Tensor) -> None:
        """Store the value of the token at the present position, (B, inputs)."""
        self.tokens.add(self.i, self.j, token.mT)

    def copied(self) -> Walk:
        """Return a walk that goes on without a change of this one."""
        new = copy.copy(self)
        new.strips = {key: strip.copied() for key, strip in self.strips.items()}
        new.lines = dict(self.lines)
        new.tokens = self.tokens.copied()
        return new

    def strip(self, owner: nn.Module, name: str, reach: int) -> Strip:
        """Return the columns that a layer keeps under a name."""
        found = self.strips.get((owner, name))
        if found is None:
            found = self.strips[owner, name] = Strip(self.channels, reach)
        return found

    def matrix(self, conv: MaskedConv2d) -> tuple[Tensor, Tensor]:
        """Return the weights and biases of a convolution for the present group; they are sorted once."""
        found = self.matrices.get((conv, self.g))
        if found is None:
            found = self.matrices[conv, self.g] = conv.matrix(self.g)
        return found

    def zeros(self, channels: int) -> Tensor:
        """Return a column of zeros, (channels, B)."""
        return self.rows.new_zeros(1, 1).expand(channels, self.rows.shape[0])

    def convolve(self, conv: MaskedConv2d, piece: Tensor, added: Tensor | None) -> Tensor:
        """Return the outputs of a convolution for the present token, (channels of its group, B).

        Args:
            conv: The convolution.
            piece: Features of the present token, for convolutions that see them.
            added: Map that is added to the result, or None.
        """
        weight, bias = self.matrix(conv)
        seen = self._seen(conv, piece)
        out = torch.addmm(bias, weight, seen[0] if len(seen) == 1 else torch.cat(seen)) if seen else bias
        here = self.local(added, conv)
        return out.expand(-1, self.rows.shape[0]) if here is None else out + here

    def _seen(self, conv: MaskedConv2d, piece: Tensor) -> list[Tensor]:
        """Return the columns that a convolution sees from the present token, in the order of its matrix."""
        if not conv.places and self.channels == 1 and conv.sees == "here":
            return [piece]
        strip = self.tokens
        if conv.sees == "here":
            strip = self.strip(conv, "x", conv.up)
            strip.add(self.i, self.j, piece)
        i, j, known, zero = self.i, self.j, strip.columns, self.zeros(conv.in_channels)
        return [known.get((i + y, j + x), zero) for y, x in conv.places] + list(strip.here(i, j))

    def local(self, added: Tensor | None, conv: MaskedConv2d) -> Tensor | None:
        """Return what a map adds to the outputs of a convolution for the present token, (channels, B or 1)."""
        if added is None:
            return None
        _, _, height, width = added.shape
        return self.outputs(conv, added[:, :, min(self.i, height - 1), min(self.j, width - 1)].mT)

    def outputs(self, conv: MaskedConv2d, column: Tensor) -> Tensor:
        """Return the rows of the present group, from a column with all outputs of a convolution."""
        return column if self.channels == 1 else column[conv.group == self.g]

    def own(self, column: Tensor) -> Tensor:
        """Return the channels of the present group, from a column with the channels of all groups."""
        return column[group_slice(column.shape[0], self.channels, self.g)] if self.channels > 1 else column
