"""Networks over sequences whose i-th output sees the tokens before i only, and that can be run one token at a time."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .network import Network


class CausalNetwork(Network, abc.ABC):
    """Tokens (B, T, inputs) to outputs (B, T, outputs), output i from the tokens before it.

    `forward` makes all outputs at once; `begin` and `extend` make some at a time, as tokens become known:

        cache, before = net.begin(rows, context), no_tokens         # no_tokens (B, 0, inputs)
        for i in range(T):
            output, cache = net.extend(before, i, cache)            # (B, 1, outputs)
            before = token_from(output)                             # (B, 1, inputs)
    """

    inputs: int
    """Length of a token."""

    @abc.abstractmethod
    def begin(self, rows: Tensor, context: Tensor | None = None) -> Any:
        """The cache before the first position; of `rows`, any tensor of the batch, nothing but the length and type is read."""

    @abc.abstractmethod
    def extend(self, tokens: Tensor, first: int, cache: Any) -> tuple[Tensor, Any]:
        """The outputs of some further positions, from the tokens just before them.

        Args:
            tokens: (B, k, inputs), tokens first - 1 ... first + k - 2. Before token 0 there is none: when `first` is 0, they
                are tokens 0 ... k - 2, of shape (B, k - 1, inputs).
            first: position of the first output.
            cache: Cache of `begin` or `extend`; not changed.

        Returns:
            (B, k, outputs), and the cache with these positions.
        """

    def unroll(
        self, step: Callable[[int, Tensor], Tensor], rows: Tensor, length: int, context: Tensor | None = None
    ) -> None:
        """All tokens one after the other.

        Args:
            step: (i, the i-th output (B, outputs)) -> the i-th token (B, inputs).
            rows: a tensor whose length, dtype and device are the batch's.
            length: T.
            context: the network's, or None.
        """
        cache, before = self.begin(rows, context), rows.new_zeros(rows.shape[0], 0, self.inputs)
        for i in range(length):
            output, cache = self.extend(before, i, cache)
            before = step(i, output[:, 0])[:, None]


def before(tokens: Tensor, start: Tensor) -> Tensor:
    """A learned start (..., hidden) in front of tokens (B, k, hidden)."""
    return torch.cat([start.expand(tokens.shape[0], 1, -1), tokens], 1)
