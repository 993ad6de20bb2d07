"""Protocol for the source of the symbols from which discrete events are decoded."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Symbols(Protocol):
    """Source of the symbols of discrete events: a random generator, a compressed file, or events that are known.

    The model states the distribution of each symbol before it asks for the symbol. Sampling, entropy coding and decoding
    therefore run the same code.
    """

    def labels(self, logits: Tensor, at: int | None = None) -> Tensor:
        """Return labels, given the logits of their categorical distributions.

        Args:
            logits: Logits of shape (B, ..., K); -inf for impossible labels.
            at: Index of the entry in the flattened event; None if the whole event is asked for.

        Returns:
            Labels, (B, ...) in int64.
        """

    def integers(self, log_weights: Tensor, means: Tensor, log_scales: Tensor, at: int | None = None) -> Tensor:
        """Return whole numbers, given mixtures of M discretised logistic distributions.

        Args:
            log_weights: Logs of the mixture weights, (B, ..., M); the weights sum to one.
            means: Means of the components, (B, ..., M).
            log_scales: Logs of the scales of the components, (B, ..., M).
            at: Index of the entry in the flattened event; None if the whole event is asked for.

        Returns:
            Whole numbers in floating point, (B, ...).
        """
