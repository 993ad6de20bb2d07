"""Score of a log-density: its gradient with respect to the point."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .hand_gradients import eager

LogDensity = Callable[[Tensor, Tensor | None], Tensor]
"""Function of points (B, *event) and a context (B, *context) or None that returns (B,) in nats, up to a constant."""


def value_and_score(log_density: LogDensity, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return log p(x) and its gradient with respect to x; both are differentiable where gradients are enabled.

    Args:
        log_density: Log-density whose rows do not depend on each other.
        x: Points, (B, *event).
        context: Context of shape (B, *context), or None.

    Returns:
        Values (B,) and scores (B, *event).
    """
    if not eager(x, context):

        def total(v: Tensor) -> tuple[Tensor, Tensor]:
            value = log_density(v, context)
            return value.sum(), value

        score, value = torch.func.grad(total, has_aux=True)(x)
        return value, score
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        at = x if recorded and x.requires_grad else x.detach().requires_grad_()
        value = log_density(at, context)
        (score,) = torch.autograd.grad(value.sum(), at, create_graph=recorded)
    return (value if recorded else value.detach()), score
