"""Base class of sequence networks whose i-th output depends only on tokens before i, and that run token by token."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .network import Network


class CausalNetwork(Network, abc.ABC):
    """Causal network from tokens (B, T, inputs) to outputs (B, T, outputs), output i from the tokens before it.

    `forward` computes all outputs at once. `begin` and `extend` compute some at a time, as tokens become known:

        cache, before = net.begin(rows, context), no_tokens         # no_tokens (B, 0, inputs)
        for i in range(T):
            output, cache = net.extend(before, i, cache)            # (B, 1, outputs)
            before = token_from(output)                             # (B, 1, inputs)
    """

    inputs: int
    """Length of a token."""

    @abc.abstractmethod
    def begin(self, rows: Tensor, context: Tensor | None = None) -> Any:
        """Return the cache before the first position; `rows` is any tensor with the batch's length, dtype and device."""

    @abc.abstractmethod
    def extend(self, tokens: Tensor, first: int, cache: Any) -> tuple[Tensor, Any]:
        """Return the outputs of some further positions, from the tokens just before them.

        Args:
            tokens: Tokens first - 1 ... first + k - 2, (B, k, inputs). No token comes before token 0: if `first` is 0, these
                are tokens 0 ... k - 2, (B, k - 1, inputs).
            first: Position of the first output.
            cache: Cache from `begin` or `extend`; not changed.

        Returns:
            Outputs (B, k, outputs), and the cache extended by these positions.
        """

    def start_at(self, values: Tensor) -> None:
        """Set the biases of a fresh network so that it returns about `values` (T, outputs); by default nothing is done."""

    def unroll(
        self, step: Callable[[int, Tensor], Tensor], rows: Tensor, length: int, context: Tensor | None = None
    ) -> None:
        """Compute all tokens one after the other.

        Args:
            step: Function (i, the i-th output (B, outputs)) that returns the i-th token (B, inputs).
            rows: Tensor with the length, dtype and device of the batch; its values are not used.
            length: Number of tokens T.
            context: Context of the network, or None.
        """
        cache, before = self.begin(rows, context), rows.new_zeros(rows.shape[0], 0, self.inputs)
        for i in range(length):
            output, cache = self.extend(before, i, cache)
            before = step(i, output[:, 0])[:, None]


def before(tokens: Tensor, start: Tensor) -> Tensor:
    """Return tokens (B, k, hidden) with a learned start (..., hidden) in front."""
    return torch.cat([start.expand(tokens.shape[0], 1, -1), tokens], 1)
