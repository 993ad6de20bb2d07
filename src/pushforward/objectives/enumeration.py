"""Exact log-likelihood of flows whose random layers have few discrete choices, as a sum over all of them.

log p(x) = log sum_(k_1 ... k_L) prod_l p(x_(l-1), k_l | x_l) p(x_L)
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from ..core import Distribution, Flow, layers_of
from ..errors import SpecError
from .weighted_mean import weighted_mean

MOST = 1024
"""Largest number of combinations over which a sum is computed by default."""


class Branching(Protocol):
    """Layer with finitely many choices, such as `WinnerCoupling`."""

    branches: int
    """Number S of choices."""

    def every_branch(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z (S, B, *shape) and log p(x, choice | z) (S, B)."""


def combinations(model: Distribution) -> int | None:
    """Return the number of combinations of all choices of a flow; None if it has another random layer, or is not a flow."""
    if not isinstance(model, Flow) or model.base.exactness:
        return None
    total = 1
    for layer in layers_of(model.chain):
        if hasattr(layer, "every_branch"):
            total *= cast(Branching, layer).branches
        elif layer.exactness:
            return None
    return total


def enumerated_log_prob(model: Flow, x: Tensor, context: Tensor | None = None, *, most: int = MOST) -> Tensor:
    """Return log p(x) as the log-sum over all choices of the random layers: (B, *event) -> (B,) in nats.

    Args:
        model: Flow whose random layers have `every_branch`.
        x: Events (B, *event).
        context: Context (B, *context), or None.
        most: Largest number of combinations.

    Raises:
        SpecError: A random layer cannot be enumerated, or there are more combinations.
    """
    count = combinations(model)
    if count is None or count > most:
        raise SpecError(
            f"expected a flow with at most {most} combinations of winners, got "
            + ("one whose random layers cannot be enumerated" if count is None else f"{count}")
        )
    x, context, _ = model._flatten(x, context)
    rows, context = len(x), model._embedded(context)
    total = x.new_zeros(rows, dtype=model.dtype)
    for layer in layers_of(model.chain):
        given = None if context is None else context.repeat(len(x) // max(rows, 1), *[1] * (context.dim() - 1))
        if hasattr(layer, "every_branch"):
            images, terms = cast(Branching, layer).every_branch(x, given)
            total = (total + terms).flatten()
            x = images.flatten(0, 1)
        else:
            x, dlogp = layer(x, given)
            total = total + dlogp
    given = None if context is None else context.repeat(len(x) // max(rows, 1), *[1] * (context.dim() - 1))
    return (total + model.base._log_prob(x, given)).reshape(-1, rows).logsumexp(0)


class EnumeratedLikelihood(nn.Module):
    """Negative log-likelihood in nats per event, as a sum over all choices of the random layers.

    Args:
        model: Flow whose random layers have few choices.
        most: Largest number of combinations.

    Raises:
        SpecError: A random layer cannot be enumerated, or there are more combinations.
    """

    likelihood = True
    minimises = "negative log-likelihood, summed over winners, nats per row"

    def __init__(self, model: Flow, *, most: int = MOST) -> None:
        super().__init__()
        count = combinations(model)
        if count is None or count > most:
            raise SpecError(f"expected a flow with at most {most} combinations of winners, got {count or 'none'}")
        self.model, self.most = model, most

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x,) or (x, context) of B rows and weights (B,)."""
        return -weighted_mean(enumerated_log_prob(self.model, *batch, most=self.most), weights)
