"""Names of objectives with their units, such as "negative log-likelihood, nats per row"."""

from __future__ import annotations

from torch import nn

from ..core import Distribution, Exactness


def objective_name(objective: nn.Module) -> str:
    """Return the name and unit of the loss of an objective.

    Args:
        objective: Module with an attribute `minimises`, such as those of this package; for others the class name is used.
    """
    named = getattr(objective, "minimises", None)
    return named if isinstance(named, str) else f"loss of {type(objective).__name__}"


def likelihood_name(model: nn.Module) -> str:
    """Return the name and unit of a model's negative log-likelihood, or of the bound or estimate of it."""
    exactness = model.exactness if isinstance(model, Distribution) else Exactness.EXACT
    lower, upper = Exactness.LOWER in exactness, Exactness.UPPER in exactness
    if lower and not upper:
        return "upper bound of the negative log-likelihood, nats per row"
    if upper and not lower:
        return "lower bound of the negative log-likelihood, nats per row"
    estimate = "" if exactness == Exactness.EXACT else "estimate of the "
    return f"{estimate}negative log-likelihood, nats per row"
