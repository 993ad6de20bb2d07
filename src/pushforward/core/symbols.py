"""Where the symbols of discrete events come from while events are made."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Symbols(Protocol):
    """Where the symbols of discrete events come from while these are made: chance, an archive, or events that are known.

    The distribution of each symbol is stated before the symbol is asked for, so that sampling, entropy coding and decoding
    are one walk.
    """

    def labels(self, logits: Tensor, at: int | None = None) -> Tensor:
        """Labels from softmaxes.

        Args:
            logits: (B, ..., K), -inf for labels that never come.
            at: Number of the entry in the flat event; None for the whole event.

        Returns:
            (B, ...) int64.
        """

    def integers(self, log_weights: Tensor, means: Tensor, log_scales: Tensor, at: int | None = None) -> Tensor:
        """Whole numbers from mixtures of M discretised logistics.

        Args:
            log_weights: (B, ..., M), of which the exponentials add up to 1.
            means: (B, ..., M).
            log_scales: (B, ..., M).
            at: Number of the entry in the flat event; None for the whole event.

        Returns:
            (B, ...), whole numbers in floating point.
        """
