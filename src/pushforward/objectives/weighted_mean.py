"""Weights of rows in an objective: the weighted mean, and the objectives that can take it."""

from __future__ import annotations

import inspect

from torch import Tensor, nn

from ..errors import SpecError


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return 1/B sum_b w_b v_b, or the plain mean without weights.

    With weights of mean one over the data set this is an unbiased estimate of sum_i w_i v_i / sum_i w_i.

    Args:
        values: (B,).
        weights: (B,), or None.
    """
    return values.mean() if weights is None else (weights * values).mean()


def require_row_weights(objective: nn.Module) -> None:
    """Refuse an objective that cannot weight rows.

    Its `forward(batch, weights=None)` must take weights, as must that of an objective inside of it. An attribute `unweighted`
    that is not None is the reason why a certain setting cannot.

    Raises:
        SpecError: naming the objective and, if there is one, the reason.
    """
    inner: nn.Module | None = objective
    while isinstance(inner, nn.Module):
        name = type(inner).__name__
        if "weights" not in inspect.signature(inner.forward).parameters:
            raise SpecError(
                f"expected an objective that takes weights of rows, got {name}, whose forward has no argument 'weights'; "
                "fit without weights"
            )
        reason = getattr(inner, "unweighted", None)
        if reason is not None:
            raise SpecError(
                f"expected an objective that takes weights of rows, got {name} {reason}; fit without weights"
            )
        inner = getattr(inner, "objective", None)
