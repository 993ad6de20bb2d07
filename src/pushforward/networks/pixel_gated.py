"""Gated PixelCNN: a vertical and a horizontal stack of gated convolutions, without a blind spot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .conv import check_counts, dropout_layer
from .pixel_masks import MaskedConv2d, gate
from .pixel_network import Added, PixelNetwork, down
from .pixel_walk import Walk


class PixelGatedNet(PixelNetwork):
    """Gated convolutions in two stacks: the vertical one sees all rows above, the horizontal one its own row.

        gate(a, b) = tanh(a) sigmoid(b)
        u = W_v * v + V_v s,   v <- gate(u),   h <- h + W_1 gate(W_h * h + W_l down(u) + V_h s)

    The vertical feature of a row depends on that row and those above. `down` moves it to the next row before it
    joins the horizontal stack, so no output sees the pixels to the right of it in its own row. The condition s is a vector, or
    a picture to which 1 x 1 convolutions are applied. Only the horizontal stack has residual connections (van den Oord et al.
    2016, arXiv:1606.05328, eq. 2-4 and figure 2).

    Args:
        inputs: Length of every input token.
        outputs: Length of every output token.
        size: Number of tokens of a pixel, height and width.
        hidden: Number of channels of either stack.
        blocks: Number of gated layers behind the first.
        kernel: Side n of the kernels, an odd number: (n + 1) / 2 rows and n columns in the vertical stack.
        first_kernel: Side of the kernels of the first layer, an odd number.
        context: Number of channels of the condition, a vector or a picture; 0 for none. It is added in every layer.
        dropout: Probability in [0, 1) of dropping a hidden value in training.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1, or a probability is outside [0, 1).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: tuple[int, int, int],
        hidden: int = 64,
        blocks: int = 5,
        kernel: int = 3,
        first_kernel: int = 7,
        context: int = 0,
        dropout: float = 0.0,
        zero: bool = True,
    ) -> None:
        check_counts(context=context, blocks=blocks, kernel=kernel, first_kernel=first_kernel)
        super().__init__(
            inputs,
            outputs,
            size,
            hidden=hidden,
            features=hidden,
            context=context,
            added=2 * hidden,
            places=2 * (blocks + 1),
            dropout=dropout,
            zero=zero,
        )
        tokens = size[0]
        first = _Layer(tokens * inputs, hidden, first_kernel, tokens, dropout, first=True)
        more = (_Layer(hidden, hidden, kernel, tokens, dropout, first=False) for _ in range(blocks))
        self.layers = nn.ModuleList([first, *more])

    @property
    def _stack(self) -> Sequence[_Layer]:
        return cast("Sequence[_Layer]", self.layers)

    def features(self, x: Tensor, added: Added, walk: Walk | None = None) -> Tensor:
        """Return the features of the horizontal stack."""
        v = h = x
        for k, layer in enumerate(self._stack):
            link: Tensor | None
            if walk is None:
                u = layer.above(v, None, added[2 * k])
                v, link = gate(u), layer.link(down(u))
            else:
                line = walk.lines.get((layer, "link"))
                link = None if line is None else walk.outputs(layer.beside, line[walk.j])
            h = layer(h, link, added[2 * k + 1], self.positions if k == 0 else None, walk)
        return h

    def start_row(self, walk: Walk) -> None:
        """Compute the vertical stack in the row that the walk has finished, and what it gives to the next row."""
        v = walk.tokens.row(walk.i - 1, walk.width).unsqueeze(2)
        for k, layer in enumerate(self._stack):
            rows = walk.lines.get((layer, "rows"))
            if rows is None:
                rows = v.new_zeros(*v.shape[:2], layer.above.up, walk.width)
            window = torch.cat([rows, v], 2)
            walk.lines[layer, "rows"] = window[:, :, 1:]
            u = layer.above.last_row(window)
            more = walk.added[2 * k]
            if more is not None:
                u = u + (more if more.shape[2] == 1 else more[:, :, walk.i - 1 : walk.i])
            walk.lines[layer, "link"] = layer.link(u).squeeze(2).permute(2, 1, 0)
            v = gate(u)


class _Layer(nn.Module):
    """Gated layer: `above` is the convolution of the vertical stack; calling the layer gives the horizontal stack."""

    def __init__(self, inputs: int, hidden: int, kernel: int, tokens: int, dropout: float, *, first: bool) -> None:
        super().__init__()
        half, self.residual = kernel // 2, not first
        self.above = MaskedConv2d(inputs, 2 * hidden, (half, half), sees="row", tokens=tokens)
        # Without a bias, the link adds nothing in the first row, where there is no row above.
        self.link = nn.Conv2d(2 * hidden, 2 * hidden, 1, bias=False)
        self.beside = MaskedConv2d(
            inputs, 2 * hidden, (0, half), sees="before" if first else "here", tokens=tokens, parts=2
        )
        self.out = MaskedConv2d(hidden, hidden, (0, 0), sees="here", tokens=tokens)
        self.dropout = dropout_layer(dropout)

    def forward(
        self, h: Tensor, link: Tensor | None, added: Tensor | None, place: Tensor | None, walk: Walk | None
    ) -> Tensor:
        u = self.beside(h, walk, added)
        made = self.out(self.dropout(gate(u if link is None else u + link)), walk, place)
        return h + made if self.residual else made
