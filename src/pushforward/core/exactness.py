"""Relation between the number that `log_prob` returns and log p(x)."""

from __future__ import annotations

from enum import Flag, auto


class Exactness(Flag):
    """Relation of `log_prob(x)` to log p(x). A model's is the union (`|`) over its parts, and is never set by hand.

    EXACT           The number is log p(x), up to rounding.
    NOISY           The number is random: two calls differ.
    LOWER           Its expectation is at most log p(x).
    UPPER           Its expectation is at least log p(x).
    LOWER | UPPER   It is biased in an unknown direction (a truncated series, a quadrature).
    """

    EXACT = 0
    NOISY = auto()
    LOWER = auto()
    UPPER = auto()

    @property
    def flipped(self) -> Exactness:
        """Exactness of the inverse direction: a lower bound becomes an upper bound."""
        flipped = self & Exactness.NOISY
        if Exactness.LOWER in self:
            flipped |= Exactness.UPPER
        if Exactness.UPPER in self:
            flipped |= Exactness.LOWER
        return flipped

    @property
    def symbol(self) -> str:
        """Sign between log p(x) and the returned number: `=`, `>=`, `<=` or `~`."""
        lower, upper = Exactness.LOWER in self, Exactness.UPPER in self
        if lower and upper:
            return "~"
        if lower:
            return ">="
        if upper:
            return "<="
        return "=" if Exactness.NOISY not in self else "~"
