"""What the number that `log_prob` returns is, compared with log p(x)."""

from __future__ import annotations

from enum import Flag, auto


class Exactness(Flag):
    """What `log_prob(x)` is relative to log p(x). Derived from the parts of a model by `|`, never declared for a whole.

    EXACT           it is log p(x), up to rounding.
    NOISY           it is random: two calls differ.
    LOWER           its expectation is at most log p(x).
    UPPER           its expectation is at least log p(x).
    LOWER | UPPER   it is biased and nothing is known about the side (a truncated series, a quadrature).
    """

    EXACT = 0
    NOISY = auto()
    LOWER = auto()
    UPPER = auto()

    @property
    def flipped(self) -> Exactness:
        """The exactness of the opposite direction: a lower bound becomes an upper one."""
        flipped = self & Exactness.NOISY
        if Exactness.LOWER in self:
            flipped |= Exactness.UPPER
        if Exactness.UPPER in self:
            flipped |= Exactness.LOWER
        return flipped

    @property
    def symbol(self) -> str:
        """`=`, `>=`, `<=` or `~`: how log p(x) stands to the number reported."""
        lower, upper = Exactness.LOWER in self, Exactness.UPPER in self
        if lower and upper:
            return "~"
        if lower:
            return ">="
        if upper:
            return "<="
        return "=" if Exactness.NOISY not in self else "~"
