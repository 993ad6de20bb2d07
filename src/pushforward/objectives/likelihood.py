"""Maximum likelihood, and mirrored pictures for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NegativeLogLikelihood(nn.Module):
    """Loss = -1/B sum_b log p(x_b | c_b), in nats per event; a bound of it where the model's log-likelihood is a bound.

    Args:
        model: a `Distribution`, or any module that maps (x) or (x, context) to one log-likelihood for each row.
    """

    likelihood = True
    """Whether minus the loss is a mean log-likelihood in nats per event."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Batch (x,) or (x, context), B rows each -> scalar, mean nats per event."""
        return -self.model(*batch).mean()


class Flipped(nn.Module):
    """An objective that sees half of the pictures mirrored, left to right, while training.

    Args:
        objective: of batches whose first part is (B, C, H, W).
    """

    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.objective = objective
        self.likelihood = getattr(objective, "likelihood", False)

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """The objective's loss of a batch, each picture mirrored with probability 1/2 in training mode."""
        x, *rest = batch
        if self.training:
            mirrored = torch.rand(x.shape[0], 1, 1, 1, device=x.device) < 0.5
            x = torch.where(mirrored, x.flip(3), x)
        return self.objective((x, *rest))
