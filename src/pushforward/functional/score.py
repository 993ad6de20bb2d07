"""The score of a log-density: its gradient with respect to the point, row by row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .hand_gradients import eager

LogDensity = Callable[[Tensor, Tensor | None], Tensor]
"""(B, *event) and a context, (B, *context) or None, to (B,) nats; its constant may be missing."""


def value_and_score(log_density: LogDensity, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """log p(x) and its gradient with respect to x, both open to differentiation where gradients are enabled.

    Args:
        log_density: rows must not depend on each other.
        x: (B, *event).
        context: (B, *context) or None.

    Returns:
        (B,) and (B, *event).
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
