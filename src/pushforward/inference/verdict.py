"""One sentence on whether a fit can be trusted."""

from __future__ import annotations

import math

from .coverage import LOST, Coverage
from .weights import USABLE

GROWN = 1.5
"""A fit whose draws still spread by this factor in the second half of training is not done, or its target improper."""
MISSED = 0.05
"""Share of short chains that may end where the model has too little mass: some get stuck on their way."""
LOW = 0.1
"""Effective share of the draws below which too few of them count."""


def verdict(k_hat: float, ess: float, found: Coverage | None, growth: float) -> str:
    """One sentence, which starts with "Trust it" if and only if nothing speaks against it.

    Args:
        k_hat: tail shape of the weights.
        ess: effective share of the draws.
        found: what short chains met; None when none were run.
        growth: how much the draws still spread in the second half of training.
    """
    if growth > GROWN:
        return (
            f"Do not trust it: the draws kept spreading while training ({growth:.1f} times in its second half), "
            "so the density may be improper, or needs more steps."
        )
    if found is not None and found.missed > MISSED:
        return (
            f"Do not trust it: {found.missed:.0%} of the short chains ended where the target is over {LOST:.0f} times as "
            "dense as the flow, so that a mode is missed or a tail too light."
        )
    if not k_hat <= USABLE:
        return f"Do not trust it: k-hat {k_hat:.2f} is above {USABLE}, so that a few draws carry all the weight."
    if ess < LOW:
        return f"Use it with care: of the draws only {ess:.0%} count (k-hat {k_hat:.2f}); take more of them, or a larger flow."
    shape = "no weight stands out" if k_hat == -math.inf else f"k-hat {k_hat:.2f}"
    chains = "" if found is None else ", and short chains found no mass that the flow lacks"
    return f"Trust it: {shape}, {ess:.0%} of the draws count{chains}."
