"""Integer cumulative distribution functions of symbols, with total 2^24 and frequency at least 1 for each symbol.

    C(k) = floor(P(symbol < k) (2^24 - K)) + k,    k = 0 ... K

The floor does not decrease, so C grows by at least one with every symbol, whatever the probabilities are. C(0) = 0 and
C(K) = 2^24. The added k gives at most K 2^-24 of the total to symbols that the model considers impossible.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np

from ..errors import FlowError
from .rans import TOTAL

Array = np.ndarray[Any, np.dtype[Any]]
WINDOW = 4096
DIGITS, DIGIT = 3, 18
"""Number and bits of the digits of whole numbers outside the window: 3 x 18 bits hold all whole numbers up to 2^53."""
OFFSET = 1 << 53


class FrequencyTable(abc.ABC):
    """Base class of the cumulative distribution functions of N symbols, possibly with an escape symbol."""

    escape: bool = False
    """Whether some values have no symbol of their own and use the escape symbol."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return the number of symbols N."""

    @abc.abstractmethod
    def intervals(self, values: Array) -> tuple[Array, Array]:
        """Return starts and frequencies of the values (N,), or of the escape symbol."""

    @abc.abstractmethod
    def outside(self, values: Array) -> Array:
        """Return which of the values (N,) need the escape symbol."""

    @abc.abstractmethod
    def find(self, first: int, slots: Array) -> tuple[Array, Array, Array]:
        """Return starts, frequencies and values of symbols `first`, ... from their slots; NaN for the escape symbol."""


class CategoricalTable(FrequencyTable):
    """Labels with categorical distributions.

    Args:
        log_probs: Log-probabilities (N, K) in nats; each row of probabilities sums to one, -inf for impossible labels.

    Raises:
        NotCodable: There are NaNs or too many labels.
    """

    def __init__(self, log_probs: Array) -> None:
        count, labels = log_probs.shape
        if np.isnan(log_probs).any():
            raise NotCodable("the model's probabilities are not numbers")
        if labels > TOTAL >> 8:
            raise NotCodable(f"expected at most {TOTAL >> 8} labels, got {labels}")
        below = np.exp(log_probs).cumsum(1)
        self.cumulative = np.zeros((count, labels + 1), dtype=np.int64)
        share = np.minimum(below / below[:, -1:], 1.0)
        self.cumulative[:, 1:] = np.floor(share * (TOTAL - labels)).astype(np.int64) + np.arange(1, labels + 1)

    def __len__(self) -> int:
        """Return the number of symbols N."""
        return len(self.cumulative)

    def outside(self, values: Array) -> Array:
        """Return False for all values: every label has its own symbol."""
        return np.zeros(len(values), dtype=bool)

    def intervals(self, values: Array) -> tuple[Array, Array]:
        """Return starts and frequencies of the labels."""
        rows = np.arange(len(values))
        start = self.cumulative[rows, values]
        return start, self.cumulative[rows, values + 1] - start

    def find(self, first: int, slots: Array) -> tuple[Array, Array, Array]:
        """Return starts, frequencies and labels, found by bisection."""
        rows = np.arange(first, first + len(slots))
        low = np.zeros(len(slots), dtype=np.int64)
        high = np.full(len(slots), self.cumulative.shape[1] - 1)
        wanted = slots.astype(np.int64)
        while (high - low > 1).any():
            middle = (low + high) >> 1
            above = self.cumulative[rows, middle] <= wanted
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        start = self.cumulative[rows, low]
        return start, self.cumulative[rows, low + 1] - start, low


class LogisticTable(FrequencyTable):
    """Whole numbers from mixtures of discretised logistics, in a window of 4096 numbers around the mean; others escape.

    Args:
        log_weights: Log-weights (N, M); the weights sum to one.
        means: Means (N, M).
        log_scales: Logs of the scales (N, M).

    Raises:
        NotCodable: There are NaNs or infinities, or the means are too large.
    """

    escape = True

    def __init__(self, log_weights: Array, means: Array, log_scales: Array) -> None:
        if not (np.isfinite(means).all() and np.isfinite(log_scales).all()) or np.isnan(log_weights).any():
            raise NotCodable("the model's means and scales are not finite")
        if (np.abs(means) > 2.0**50).any():
            raise NotCodable("the model's means are too large")
        # Components form the first dimension, so every operation runs over contiguous symbols.
        self.weights = np.exp(np.ascontiguousarray(log_weights.T))
        self.means = np.ascontiguousarray(means.T)
        self.scales = np.exp(np.ascontiguousarray(log_scales.T))
        self.rates = 1 / self.scales
        self.low = np.rint((self.weights * self.means).sum(0)) - WINDOW // 2
        self.base = self._below(slice(None), self.low)

    def __len__(self) -> int:
        """Return the number of symbols N."""
        return self.means.shape[1]

    def _below(self, rows: Any, k: Array) -> Array:
        """Return P(symbol < k) under the model."""
        u = (k - 0.5 - self.means[:, rows]) * self.rates[:, rows]
        np.clip(u, -700, 700, out=u)
        return (self.weights[:, rows] / (1 + np.exp(-u))).sum(0)

    def _cumulative(self, rows: Any, place: Array) -> Array:
        """Return C at places 0 ... WINDOW of the window; the rest up to 2^24 belongs to the escape symbol."""
        inside = self._below(rows, self.low[rows] + place) - self.base[rows]
        inside = np.minimum(np.maximum(inside, 0.0), 1.0)
        return (np.floor(inside * (TOTAL - WINDOW - 1)) + place).astype(np.int64)

    def outside(self, values: Array) -> Array:
        """Return which values are outside the window."""
        place = values - self.low
        return (place < 0) | (place >= WINDOW)

    def intervals(self, values: Array) -> tuple[Array, Array]:
        """Return starts and frequencies of the numbers.

        Raises:
            NotCodable: Rounding left a number without a frequency, or a number is too large.
        """
        if not (np.abs(values) < OFFSET).all():
            raise NotCodable("whole numbers are not smaller than 2^53")
        escaped = self.outside(values)
        place = np.where(escaped, WINDOW, values - self.low)
        start = self._cumulative(slice(None), place)
        end = np.where(escaped, TOTAL, self._cumulative(slice(None), np.minimum(place + 1, WINDOW)))
        if (end <= start).any():
            raise NotCodable("a probability is lost to rounding")
        return start, end - start

    def find(self, first: int, slots: Array) -> tuple[Array, Array, Array]:
        """Return starts, frequencies and values, by bisection between the smallest and largest quantile of the components."""
        rows = slice(first, first + len(slots))
        wanted = slots.astype(np.int64)
        # The quantile of a mixture lies between the quantiles of its components.
        share = np.clip(wanted / (TOTAL - WINDOW - 1) + self.base[rows], 1e-12, 1 - 1e-12)
        quantile = self.means[:, rows] + self.scales[:, rows] * np.log(share / (1 - share))
        place = np.clip(quantile - self.low[rows], 0, WINDOW)
        # C also grows by one per place, which moves the quantile by a few places.
        low = np.maximum(np.floor(place.min(0)) - 8, 0.0)
        high = np.minimum(np.ceil(place.max(0)) + 4, float(WINDOW))
        start, end = self._cumulative(rows, low), self._cumulative(rows, high)
        escaped = wanted >= self._cumulative(rows, np.full(len(slots), float(WINDOW)))
        # If the quantiles do not enclose the slot, after rounding, the bisection starts from the whole window.
        low, start = np.where(start <= wanted, low, 0.0), np.where(start <= wanted, start, 0)
        wrong = (end <= wanted) & ~escaped
        if wrong.any():
            high = np.where(wrong, float(WINDOW), high)
            end = self._cumulative(rows, high)
        while True:
            open_ = (high - low > 1) & ~escaped
            if not open_.any():
                break
            middle = np.floor((low + high) / 2)
            at = self._cumulative(rows, middle)
            above = at <= wanted
            low, start = np.where(above, middle, low), np.where(above, at, start)
            high, end = np.where(above, high, middle), np.where(above, end, at)
        top = self._cumulative(rows, np.full(len(slots), float(WINDOW))) if escaped.any() else end
        start, end = np.where(escaped, top, start), np.where(escaped, TOTAL, end)
        return start, end - start, np.where(escaped, np.nan, self.low[rows] + low)


class NotCodable(FlowError):
    """Error for events that the coder cannot represent; they are stored instead."""


def digits(values: Array) -> list[tuple[Array, Array]]:
    """Return starts and frequencies of the digits of whole numbers outside the window, the highest digit first."""
    whole = values.astype(np.int64) + OFFSET
    shift = 24 - DIGIT
    return [
        (((whole >> (DIGIT * i)) & ((1 << DIGIT) - 1)) << shift, np.full(len(whole), 1 << shift))
        for i in reversed(range(DIGITS))
    ]
