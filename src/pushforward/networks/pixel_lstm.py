"""Row LSTM and Diagonal BiLSTM, the recurrent networks of PixelRNN.

An LSTM cell has the states h and c, and gates from a convolution of the input and from the states of neighbours:

    o, f, i, g = a + W x  split into four;   c <- sigmoid(f) c + sigmoid(i) tanh(g),   h = sigmoid(o) tanh(c)

with a computed from neighbouring states (van den Oord et al. 2016, arXiv:1601.06759, eq. 3).
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..functional.skewing import skew, unskew
from .conv import check_counts, dropout_layer
from .pixel_conv import first_conv
from .pixel_masks import MaskedConv2d
from .pixel_network import Added, PixelNetwork, down
from .pixel_walk import Walk


class PixelLSTMNet(PixelNetwork):
    """Masked convolution, then LSTM layers with residual connections: h <- h + conv1x1(lstm(h)).

    Every layer has 2 `hidden` channels outside and `hidden` inside (van den Oord et al. 2016, arXiv:1601.06759, section 3.3
    and figure 4). A row layer goes down the picture: the state of a pixel depends on states of the row above, whose
    context is a triangle. A diagonal layer goes along the diagonals in two directions and sees all earlier pixels.

    Args:
        inputs: Length of every input token.
        outputs: Length of every output token.
        size: Number of tokens of a pixel, height and width.
        diagonal: Whether the layers are Diagonal BiLSTMs; otherwise they are Row LSTMs.
        hidden: Number of units of each layer, in each direction.
        layers: Number of LSTM layers.
        kernel: Width of the convolutions of a row layer, an odd number; diagonal layers do not use it.
        first_kernel: Side of the first kernel, an odd number.
        context: Number of channels of the condition, a vector or a picture; 0 for none. It is added to all gates.
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
        diagonal: bool = True,
        hidden: int = 32,
        layers: int = 2,
        kernel: int = 3,
        first_kernel: int = 7,
        context: int = 0,
        dropout: float = 0.0,
        zero: bool = True,
    ) -> None:
        check_counts(context=context, layers=layers, kernel=kernel, first_kernel=first_kernel)
        super().__init__(
            inputs,
            outputs,
            size,
            hidden=hidden,
            features=2 * hidden,
            context=context,
            added=(8 if diagonal else 4) * hidden,
            places=layers,
            dropout=dropout,
            zero=zero,
        )
        tokens = size[0]
        self.first = first_conv(inputs, 2 * hidden, first_kernel, tokens)
        self.layers = nn.ModuleList(
            _DiagonalLSTM(tokens * inputs, hidden, tokens, dropout)
            if diagonal
            else _RowLSTM(hidden, kernel, tokens, dropout)
            for _ in range(layers)
        )

    def features(self, x: Tensor, added: Added, walk: Walk | None = None) -> Tensor:
        """Return the features behind the last layer."""
        h = self.first(x, walk, self.positions)
        for layer, more in zip(self.layers, added, strict=True):
            h = layer(h, x, more, walk)
        return h

    def start_row(self, walk: Walk) -> None:
        """Compute what the layers need of the row that the walk has finished."""
        for layer in cast("Sequence[_Layer]", self.layers):
            layer.start_row(walk)


class _Layer(nn.Module, abc.ABC):
    """LSTM layer of a picture with a residual connection.

    Args:
        hidden: Number of units of each direction.
        tokens: Number of tokens of a pixel.
        dropout: Probability of dropping a state in training, before it is added to the input.
        side: Number of columns to the left that the gates see.
        directions: Number of directions.
    """

    def __init__(self, hidden: int, tokens: int, dropout: float, *, side: int, directions: int) -> None:
        super().__init__()
        self.hidden, parts = hidden, 4 * directions
        self.gates = MaskedConv2d(2 * hidden, parts * hidden, (0, side), sees="here", tokens=tokens, parts=parts)
        self.leave = MaskedConv2d(hidden, 2 * hidden, (0, 0), sees="here", tokens=tokens)
        self.dropout = dropout_layer(dropout)

    def forward(self, h: Tensor, x: Tensor, added: Tensor | None, walk: Walk | None) -> Tensor:
        """Return features h plus what the layer makes of them; x are the tokens as a map, not used with a walk."""
        gates = self.gates(h, walk, added)
        s = self.states(gates, x) if walk is None else self.state(gates, walk)
        return h + self.leave(self.dropout(s), walk)

    @abc.abstractmethod
    def states(self, gates: Tensor, x: Tensor) -> Tensor:
        """Return the states of all pixels (B, hidden, H, W), from the part of the gates that features give, and tokens."""

    @abc.abstractmethod
    def state(self, gates: Tensor, walk: Walk) -> Tensor:
        """Return the states of the walk's token, (units of its group, B)."""

    @abc.abstractmethod
    def start_row(self, walk: Walk) -> None:
        """Compute what the next row needs of the row that the walk has finished."""


class _RowLSTM(_Layer):
    """Row LSTM: the neighbours of a pixel are those above it, a = K * h(row above), with a kernel of a few columns."""

    def __init__(self, hidden: int, kernel: int, tokens: int, dropout: float) -> None:
        super().__init__(hidden, tokens, dropout, side=kernel // 2, directions=1)
        # The row above is complete, so its convolution needs no mask. Without a bias, it adds nothing in the first row.
        self.above = nn.Conv1d(hidden, 4 * hidden, 2 * (kernel // 2) + 1, padding=kernel // 2, bias=False)

    def states(self, gates: Tensor, x: Tensor) -> Tensor:
        c = gates.new_zeros(gates.shape[0], self.hidden, gates.shape[3])
        rows: list[Tensor] = []
        for gate in gates.unbind(2):
            h, c = cell(gate + self.above(rows[-1]) if rows else gate, c, 1)
            rows.append(h)
        return torch.stack(rows, 2)

    def state(self, gates: Tensor, walk: Walk) -> Tensor:
        strips = [walk.strip(self, name, 1) for name in ("h", "c")]
        above = walk.lines.get((self, "above"))
        c = strips[1].get(walk.i - 1, walk.j)
        if above is not None:
            gates = gates + walk.outputs(self.gates, above[walk.j])
        new = cell(gates, walk.own(walk.zeros(self.hidden) if c is None else c), 0)
        for strip, piece in zip(strips, new, strict=True):
            strip.add(walk.i, walk.j, piece)
        return new[0]

    def start_row(self, walk: Walk) -> None:
        row = walk.strip(self, "h", 1).row(walk.i - 1, walk.width)
        walk.lines[self, "above"] = self.above(row).permute(2, 1, 0)


class _DiagonalLSTM(_Layer):
    """Diagonal BiLSTM: the neighbours of a pixel are the one before it in its row and the one above it.

    The second direction goes from right to left, so its states see pixels to the right in their own row. They are
    moved down by one row before they are added to the states of the first direction. Features do not contain the token of
    their own pixel, so with features alone the last pixel of a row would not be seen from the start of the next one. The
    second direction therefore also sees the tokens of its row; this is not in the paper.
    """

    def __init__(self, inputs: int, hidden: int, tokens: int, dropout: float) -> None:
        super().__init__(hidden, tokens, dropout, side=0, directions=2)
        self.row = nn.Conv2d(inputs, 4 * hidden, 1, bias=False)
        # For each direction, the weights of the state before in the row, and of the state above.
        self.around = nn.Parameter(torch.empty(2, 4 * hidden, 2 * hidden).uniform_(-1, 1) / (2 * hidden) ** 0.5)

    def states(self, gates: Tensor, x: Tensor) -> Tensor:
        rows, height = gates.shape[0], gates.shape[2]
        left, right = gates.chunk(2, 1)
        # In the skewed map of both directions, (2, B, 4 hidden, H, W + H - 1), a column needs the column before only: the state
        # before in the row is in the same row there, and the state above one row higher.
        skewed = skew(torch.stack([left, (right + self.row(x)).flip(-1)]))
        columns = skewed.permute(4, 0, 2, 3, 1).flatten(3)
        h = c = gates.new_zeros(2, self.hidden, height * rows)
        found = []
        for column in columns:
            # A column has the rows of the picture one after the other, and in each of them all pictures of the batch. To the
            # left of the picture all gates and states are zero; states to the right of it reach no pixel.
            above = F.pad(h, (rows, 0))[..., : h.shape[-1]]
            h, c = cell(torch.baddbmm(column, self.around, torch.cat([h, above], 1)), c, 1)
            found.append(h)
        made = torch.stack(found, -1).unflatten(2, (height, rows)).permute(0, 3, 1, 2, 4)
        first, second = unskew(made)
        return first + down(second.flip(-1))

    def state(self, gates: Tensor, walk: Walk) -> Tensor:
        left, right = gates.chunk(2, 0)
        # The gates of one pixel are kept as (4, units, B), so that the groups can be put together.
        walk.strip(self, "right", 1).add(walk.i, walk.j, right.unflatten(0, (4, -1)))
        strips = [walk.strip(self, name, 1) for name in ("h", "c")]
        zero = walk.zeros(self.hidden)
        before, above = (strips[0].get(*at) for at in ((walk.i, walk.j - 1), (walk.i - 1, walk.j)))
        around = torch.cat([zero if before is None else before, zero if above is None else above])
        own = self.gates.group[: 4 * self.hidden] == walk.g
        weight = self.around[0] if walk.channels == 1 else self.around[0][own]
        c = strips[1].get(walk.i, walk.j - 1)
        new = cell(torch.addmm(left, weight, around), walk.own(zero if c is None else c), 0)
        for strip, piece in zip(strips, new, strict=True):
            strip.add(walk.i, walk.j, piece)
        line = walk.lines.get((self, "line"))
        return new[0] if line is None else new[0] + walk.own(line[walk.j])

    def start_row(self, walk: Walk) -> None:
        """Compute the second direction in the finished row, from right to left."""
        right, above = walk.strip(self, "right", 1), walk.lines.get((self, "line"))
        seen = self.row(walk.tokens.row(walk.i - 1, walk.width).unsqueeze(2)).squeeze(2).permute(2, 1, 0)
        h = c = zero = walk.zeros(self.hidden)
        line = [zero] * walk.width
        for j in reversed(range(walk.width)):
            gates = right.columns[walk.i - 1, j].flatten(0, 1) + seen[j]
            around = torch.cat([h, zero if above is None else above[j]])
            h, c = cell(torch.addmm(gates, self.around[1], around), c, 0)
            line[j] = h
        walk.lines[self, "line"] = line


def cell(gates: Tensor, c: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the new states h and c of an LSTM cell.

    Args:
        gates: Gates o, f, i and g before their activations, one after the other along `dim`.
        c: Present state.
        dim: Dimension of the units.
    """
    o, f, i, g = gates.chunk(4, dim)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c
