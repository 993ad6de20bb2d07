"""Integer distribution functions of symbols, with a total of 2^24 and at least 1 for every symbol that can be coded.

    C(k) = floor(P(symbol < k) (2^24 - K)) + k

grows by at least one with every symbol, whatever the probabilities, and costs at most K 2^-24 of the total, the probability
that goes to symbols which the model thinks impossible.
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
"""Bits of the numbers outside the window: three digits of 18 bits, enough for all whole numbers up to 2^53."""
OFFSET = 1 << 53


class FrequencyTable(abc.ABC):
    """Distribution functions of N symbols, and an escape."""

    escape: bool = False
    """Whether some values have no symbol of their own."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """N."""

    @abc.abstractmethod
    def intervals(self, values: Array) -> tuple[Array, Array]:
        """Starts and frequencies of the values (N,), or of the escape."""

    @abc.abstractmethod
    def outside(self, values: Array) -> Array:
        """Which of the values (N,) need the escape."""

    @abc.abstractmethod
    def find(self, first: int, slots: Array) -> tuple[Array, Array, Array]:
        """Starts, frequencies and values of symbols first, first + 1 ... from their slots; NaN for the escape."""


class CategoricalTable(FrequencyTable):
    """Labels from softmaxes.

    Args:
        log_probs: (N, K) nats, each row adding up to one, -inf for labels that never come.

    Raises:
        NotCodable: There are NaNs, or too many labels.
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
        """N."""
        return len(self.cumulative)

    def outside(self, values: Array) -> Array:
        """None: every label has a place."""
        return np.zeros(len(values), dtype=bool)

    def intervals(self, values: Array) -> tuple[Array, Array]:
        """Of the labels."""
        rows = np.arange(len(values))
        start = self.cumulative[rows, values]
        return start, self.cumulative[rows, values + 1] - start

    def find(self, first: int, slots: Array) -> tuple[Array, Array, Array]:
        """By bisection."""
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
    """Whole numbers from mixtures of discretised logistics, in a window of 4096 of them around the mean; others escape.

    Args:
        log_weights: (N, M), with exponentials that add up to one.
        means: (N, M).
        log_scales: (N, M).

    Raises:
        NotCodable: There are NaNs or infinities.
    """

    escape = True

    def __init__(self, log_weights: Array, means: Array, log_scales: Array) -> None:
        if not (np.isfinite(means).all() and np.isfinite(log_scales).all()) or np.isnan(log_weights).any():
            raise NotCodable("the model's means and scales are not finite")
        if (np.abs(means) > 2.0**50).any():
            raise NotCodable("the model's means are too large")
        # Components first: every operation runs over the symbols side by side.
        self.weights = np.exp(np.ascontiguousarray(log_weights.T))
        self.means = np.ascontiguousarray(means.T)
        self.scales = np.exp(np.ascontiguousarray(log_scales.T))
        self.rates = 1 / self.scales
        self.low = np.rint((self.weights * self.means).sum(0)) - WINDOW // 2
        self.base = self._below(slice(None), self.low)

    def __len__(self) -> int:
        """N."""
        return self.means.shape[1]

    def _below(self, rows: Any, k: Array) -> Array:
        """P(symbol < k) under the model."""
        u = (k - 0.5 - self.means[:, rows]) * self.rates[:, rows]
        np.clip(u, -700, 700, out=u)
        return (self.weights[:, rows] / (1 + np.exp(-u))).sum(0)

    def _cumulative(self, rows: Any, place: Array) -> Array:
        """C of places 0 ... WINDOW of the window."""
        inside = self._below(rows, self.low[rows] + place) - self.base[rows]
        inside = np.minimum(np.maximum(inside, 0.0), 1.0)
        return (np.floor(inside * (TOTAL - WINDOW - 1)) + place).astype(np.int64)

    def outside(self, values: Array) -> Array:
        """Those outside the window."""
        place = values - self.low
        return (place < 0) | (place >= WINDOW)

    def intervals(self, values: Array) -> tuple[Array, Array]:
        """Of the numbers.

        Raises:
            NotCodable: Rounding left a number without a frequency, or it is too large.
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
        """By bisection, between the smallest and the largest quantile of the components where that holds."""
        rows = slice(first, first + len(slots))
        wanted = slots.astype(np.int64)
        share = np.clip(wanted / (TOTAL - WINDOW - 1) + self.base[rows], 1e-12, 1 - 1e-12)
        quantile = self.means[:, rows] + self.scales[:, rows] * np.log(share / (1 - share))
        place = np.clip(quantile - self.low[rows], 0, WINDOW)
        # The place itself counts in C, which moves the quantile by a little.
        low = np.maximum(np.floor(place.min(0)) - 8, 0.0)
        high = np.minimum(np.ceil(place.max(0)) + 4, float(WINDOW))
        start, end = self._cumulative(rows, low), self._cumulative(rows, high)
        escaped = wanted >= self._cumulative(rows, np.full(len(slots), float(WINDOW)))
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
    """Events that the coder cannot hold: they are stored instead."""


def digits(values: Array) -> list[tuple[Array, Array]]:
    """Starts and frequencies of the digits of whole numbers outside a window, the highest first."""
    whole = values.astype(np.int64) + OFFSET
    shift = 24 - DIGIT
    return [
        (((whole >> (DIGIT * i)) & ((1 << DIGIT) - 1)) << shift, np.full(len(whole), 1 << shift))
        for i in reversed(range(DIGITS))
    ]
