"""Weighted mean over rows, and the check that an objective accepts weights."""

from __future__ import annotations

import inspect

from torch import Tensor, nn

from ..errors import SpecError


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return 1/B sum_b w_b v_b, or the plain mean without weights.

    With weights of mean one over the data set this is an unbiased estimate of sum_i w_i v_i / sum_i w_i.

    Args:
        values: Values of the rows, (B,).
        weights: Weights of the rows, (B,), or None.
    """
    return values.mean() if weights is None else (weights * values).mean()


def require_row_weights(objective: nn.Module) -> None:
    """Check that an objective accepts weights of rows.

    Its `forward(batch, weights=None)`, and that of an objective inside of it, must have the argument `weights`. An attribute
    `unweighted` that is not None states why weights are not possible with the current settings.

    Raises:
        SpecError: The objective accepts no weights; the message has its name and the reason, if there is one.
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
