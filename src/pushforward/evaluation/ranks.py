"""Ranks of log-likelihoods among the log-likelihoods of the training rows: percentiles, and thresholds for outliers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
POINTS = 1001
"""Number of quantiles that are kept."""


@dataclass(frozen=True)
class ScoreRanks:
    """Quantiles of the log-likelihoods of training rows.

    Args:
        quantiles: Quantiles (POINTS,) in nats, ascending, at equally spaced probabilities from 0 to 1.
    """

    quantiles: Array

    @classmethod
    def from_scores(cls, log_prob: Array) -> ScoreRanks:
        """Return the quantiles of log-likelihoods (N,)."""
        finite = log_prob[np.isfinite(log_prob)]
        return cls(np.quantile(finite, np.linspace(0, 1, POINTS)) if len(finite) else np.zeros(POINTS))

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> ScoreRanks | None:
        """Return the quantiles in a training record; None if the record has none."""
        found = training.get("quantiles")
        if not isinstance(found, list) or len(found) != POINTS or not all(isinstance(q, (int, float)) for q in found):
            return None
        return cls(np.sort(np.array(found, dtype=np.float64)))

    def to_list(self) -> list[float]:
        """Return the quantiles as plain numbers with seven digits, for the training record."""
        return [float(f"{q:.7g}") for q in self.quantiles]

    def percentiles(self, log_prob: Array) -> Array:
        """Return the percentage (N,) of training rows that are less likely than each row, in [0, 100], rounded to 0.1."""
        grid = np.linspace(0, 100, POINTS)
        inside = np.interp(log_prob, self.quantiles, grid)
        return np.round(np.where(log_prob < self.quantiles[0], 0.0, inside), 1)

    def threshold(self, share: float) -> float:
        """Return the log-likelihood, in nats, below which this share of the training rows lies."""
        return float(np.interp(share, np.linspace(0, 1, POINTS), self.quantiles))
