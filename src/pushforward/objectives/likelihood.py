"""Maximum likelihood."""

from __future__ import annotations

from torch import Tensor, nn


class NegativeLogLikelihood(nn.Module):
    """Loss = -1/B sum_b log p(x_b | c_b), in nats per event; a bound of it where the model's log-likelihood is a bound.

    Args:
        model: a `Distribution`, or any module that maps (x) or (x, context) to one log-likelihood for each row.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Batch (x,) or (x, context), B rows each -> scalar, mean nats per event."""
        return -self.model(*batch).mean()
