"""LSTMs over sequences (Hochreiter and Schmidhuber 1997): causal ones, and ones that see all tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .conv import check_counts, last
from .network import Network
from .sequence import CausalNetwork, before

State = tuple[Tensor, Tensor]


class Memory(NamedTuple):
    """What a `CausalLSTM` keeps between tokens."""

    state: State
    context: Tensor | None


class CausalLSTM(CausalNetwork):
    """An LSTM whose i-th output sees the tokens before i, and the context at its own place and before.

    Args:
        inputs: length of every token.
        outputs: length of every result.
        hidden: units of a layer.
        layers: their number.
        context: length c of the context, 0 for none: (B, c), the same at every place, or (B, T, c), one for each.
        zero: whether the last layer starts at zero.

    Raises:
        SpecError: a count below 1.
    """

    def __init__(
        self, inputs: int, outputs: int, *, hidden: int = 128, layers: int = 1, context: int = 0, zero: bool = True
    ) -> None:
        super().__init__()
        check_counts(context=context, inputs=inputs, outputs=outputs, hidden=hidden, layers=layers)
        self.inputs, self.given = inputs, context
        self.start = nn.Parameter(torch.zeros(1, 1, inputs))
        self.lstm = nn.LSTM(inputs + context, hidden, layers, batch_first=True)
        self.out = last(nn.Linear(hidden, outputs), zero=zero)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens (B, T, inputs), the context or None -> (B, T, outputs)."""
        h = self._with(before(x[:, :-1], self.start), context, 0)
        return self.out(self.lstm(h)[0])

    def begin(self, rows: Tensor, context: Tensor | None = None) -> Memory:
        """Zeros, and the context."""
        state = rows.new_zeros(self.lstm.num_layers, rows.shape[0], self.lstm.hidden_size)
        return Memory((state, state), context)

    def extend(self, tokens: Tensor, first: int, cache: Memory) -> tuple[Tensor, Memory]:
        """As for every causal network."""
        tokens = before(tokens, self.start) if first == 0 else tokens
        h, state = self.lstm(self._with(tokens, cache.context, first), cache.state)
        return self.out(h), Memory(state, cache.context)

    def _with(self, tokens: Tensor, context: Tensor | None, first: int) -> Tensor:
        if context is None or not self.given:
            return tokens
        count = tokens.shape[1]
        own = context[:, first : first + count] if context.dim() == 3 else context[:, None].expand(-1, count, -1)
        return torch.cat([tokens, own], 2)


class BidirectionalLSTM(Network):
    """An LSTM in both directions: every output sees all tokens.

    Args:
        inputs: length of every token.
        outputs: length of every result.
        hidden: units of a layer in each direction.
        layers: their number.
        zero: whether the last layer starts at zero.

    Raises:
        SpecError: a count below 1.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int = 128, layers: int = 1, zero: bool = True) -> None:
        super().__init__()
        check_counts(context=0, inputs=inputs, outputs=outputs, hidden=hidden, layers=layers)
        self.lstm = nn.LSTM(inputs, hidden, layers, batch_first=True, bidirectional=True)
        self.out = last(nn.Linear(2 * hidden, outputs), zero=zero)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens (B, T, inputs) -> (B, T, outputs)."""
        return self.out(self.lstm(x)[0])
