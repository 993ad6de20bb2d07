"""Verdict on a fit: one sentence that states whether it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from .coverage import LOST, Coverage
from .importance_weights import GOOD, USABLE

GROWN = 1.5
"""Factor of growth of the draws in the second half of training above which a fit is unfinished or its target improper."""
LOW = 0.1
"""Effective share of the draws below which too few of them count."""
LACKING = 0.005
"""Largest share of the mass that the flow may lack."""
RAISED = 0.01
"""Largest share of the flow's draws at which the log-density may raise errors."""


@dataclass(frozen=True)
class Evidence:
    """Numbers on which a verdict is based.

    Args:
        k_hat: Tail shape of the weights.
        ess: Effective share of the draws.
        coverage: Report of the short chains; None if no chains were run.
        growth: Factor by which the draws still spread in the second half of training.
        lacking: Share of the mass where the target is over 20 times as dense as the flow; None if it is not known.
        raised: Share of the draws at which the log-density raised errors.
    """

    k_hat: float
    ess: float
    coverage: Coverage | None = None
    growth: float = 1.0
    lacking: float | None = None
    raised: float = 0.0


def verdict(evidence: Evidence) -> str:
    """Return one sentence, which starts with "Trust it" if and only if no number speaks against the fit."""
    found, k_hat, ess = evidence.coverage, evidence.k_hat, evidence.ess
    if evidence.growth > GROWN:
        return (
            f"Do not trust it: the draws kept spreading while training ({evidence.growth:.1f} times in its second half), "
            "so the density may be improper, or needs more steps."
        )
    if found is not None and found.found and evidence.lacking is None:
        return (
            f"Do not trust it: {found.found} of the short chains ended where the target is over {LOST:.0f} times as "
            "dense as the flow, so a mode is missed or a tail is too light."
        )
    if not k_hat <= USABLE:
        return f"Do not trust it: k-hat {k_hat:.2f} is above {USABLE}, so a few draws carry all the weight."
    if evidence.lacking is not None and evidence.lacking > LACKING:
        return (
            f"Do not trust the flow: it lacks {evidence.lacking:.1%} of the mass, so a mode is missed or a tail is too "
            "light; log Z and the weighted draws include the mass that wider draws have found."
        )
    if evidence.raised > RAISED:
        return (
            f"Use it with care: the log-density raises errors at {evidence.raised:.0%} of the flow's draws, which count as "
            "points without mass."
        )
    if k_hat > GOOD:
        return (
            f"Use it with care: k-hat {k_hat:.2f} is above {GOOD}, so the errors may be larger than stated; take more "
            "draws, or a larger flow."
        )
    if ess < LOW:
        return f"Use it with care: of the draws only {ess:.0%} count (k-hat {k_hat:.2f}); take more of them, or a larger flow."
    shape = "no weight stands out" if k_hat < 0 else f"k-hat {k_hat:.2f}"
    chains = "" if found is None else ", and short chains found no mass that the flow lacks"
    if found is not None and found.found:
        chains = (
            f"; {found.found} of the short chains met a tail that is too light ({evidence.lacking:.2%} of the mass)"
        )
    return f"Trust it: {shape}, {ess:.0%} of the draws count{chains}."
