"""Names of what is minimised, with the unit: "negative log-likelihood, nats per row"."""

from __future__ import annotations

from torch import nn

from ..core import Distribution, Exactness


def objective_name(objective: nn.Module) -> str:
    """Return what an objective minimises and its unit.

    Args:
        objective: A module with an attribute `minimises`, such as those of this package; of another one the class is named.
    """
    named = getattr(objective, "minimises", None)
    return named if isinstance(named, str) else f"loss of {type(objective).__name__}"


def likelihood_name(model: nn.Module) -> str:
    """Return what maximum likelihood minimises for a model: its negative log-likelihood, or a bound or estimate of it."""
    exactness = model.exactness if isinstance(model, Distribution) else Exactness.EXACT
    lower, upper = Exactness.LOWER in exactness, Exactness.UPPER in exactness
    if lower and not upper:
        return "upper bound of the negative log-likelihood, nats per row"
    if upper and not lower:
        return "lower bound of the negative log-likelihood, nats per row"
    estimate = "" if exactness == Exactness.EXACT else "estimate of the "
    return f"{estimate}negative log-likelihood, nats per row"
