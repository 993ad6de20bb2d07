"""Ranks of log-likelihoods among those of the training rows: percentiles, and thresholds for outliers."""

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
        quantiles: (POINTS,) ascending, nats, at equal distances from the smallest to the largest.
    """

    quantiles: Array

    @classmethod
    def from_scores(cls, log_prob: Array) -> ScoreRanks:
        """Return the quantiles of log-likelihoods (N,)."""
        finite = log_prob[np.isfinite(log_prob)]
        return cls(np.quantile(finite, np.linspace(0, 1, POINTS)) if len(finite) else np.zeros(POINTS))

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> ScoreRanks | None:
        """Return the quantiles in a training record; None when there are none."""
        found = training.get("quantiles")
        if not isinstance(found, list) or len(found) != POINTS or not all(isinstance(q, (int, float)) for q in found):
            return None
        return cls(np.sort(np.array(found, dtype=np.float64)))

    def to_list(self) -> list[float]:
        """Return plain values for the training record."""
        return [float(f"{q:.7g}") for q in self.quantiles]

    def percentiles(self, log_prob: Array) -> Array:
        """Return the percentage of training rows that are less likely: (N,) in [0, 100], to a tenth."""
        grid = np.linspace(0, 100, POINTS)
        inside = np.interp(log_prob, self.quantiles, grid)
        return np.round(np.where(log_prob < self.quantiles[0], 0.0, inside), 1)

    def threshold(self, share: float) -> float:
        """Return the log-likelihood below which that share of the training rows lies, nats."""
        return float(np.interp(share, np.linspace(0, 1, POINTS), self.quantiles))
