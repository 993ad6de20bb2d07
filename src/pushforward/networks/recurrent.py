"""LSTM networks over sequences (Hochreiter and Schmidhuber 1997), causal or bidirectional."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .conv import check_counts, last
from .network import Network
from .sequence import CausalNetwork, before

State = tuple[Tensor, Tensor]


class Memory(NamedTuple):
    """State of a `CausalLSTM` between tokens, and its context."""

    state: State
    context: Tensor | None


class CausalLSTM(CausalNetwork):
    """LSTM whose i-th output depends on the tokens before i, and on the context at place i and before.

    Args:
        inputs: Length of every input token.
        outputs: Length of every output token.
        hidden: Number of units of a layer.
        layers: Number of layers.
        context: Length c of the context, 0 for none; it is (B, c), equal at every place, or (B, T, c), one for each place.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1.
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
        """Return the outputs: tokens (B, T, inputs), context or None -> (B, T, outputs)."""
        h = self._with(before(x[:, :-1], self.start), context, 0)
        return self.out(self.lstm(h)[0])

    def begin(self, rows: Tensor, context: Tensor | None = None) -> Memory:
        """Return the zero state, and the context."""
        state = rows.new_zeros(self.lstm.num_layers, rows.shape[0], self.lstm.hidden_size)
        return Memory((state, state), context)

    def extend(self, tokens: Tensor, first: int, cache: Memory) -> tuple[Tensor, Memory]:
        """Return the outputs of some further positions, and the new state, as every causal network does."""
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
    """Bidirectional LSTM: every output depends on all tokens.

    Args:
        inputs: Length of every input token.
        outputs: Length of every output token.
        hidden: Number of units of a layer in each direction.
        layers: Number of layers.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int = 128, layers: int = 1, zero: bool = True) -> None:
        super().__init__()
        check_counts(context=0, inputs=inputs, outputs=outputs, hidden=hidden, layers=layers)
        self.lstm = nn.LSTM(inputs, hidden, layers, batch_first=True, bidirectional=True)
        self.out = last(nn.Linear(2 * hidden, outputs), zero=zero)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the outputs: tokens (B, T, inputs) -> (B, T, outputs)."""
        return self.out(self.lstm(x)[0])
