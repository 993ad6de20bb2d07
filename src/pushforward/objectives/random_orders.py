"""Training objective of orderless models: a random order and a random cut for each row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..distributions import Orderless
from .weighted_mean import weighted_mean

DRAWS = 4
"""Number of orders and cuts for each validation row."""


class OrderlessLikelihood(nn.Module):
    """Negative mean over all orders of log p(x | order), estimated with one order and one cut for each row.

    For a random order o and a random cut d from 1 ... D, the first d - 1 entries are observed, and

        loss = -D / (D - d + 1) sum_{i >= d} log p(x_{o_i} | x_{o_1}, ..., x_{o_{d-1}}),

    whose mean over o and d is the mean of -log p(x | o) over o (Uria, Murray, Larochelle 2014, arXiv:1310.1757, eq. 7-9). One
    pass of the network gives all terms of the sum. The log-density of the model, a mean over orders of probabilities, is on
    average at least as high.

    Args:
        model: Orderless model, or another distribution that has one in its attribute `rows`.
    """

    likelihood = True
    minimises = "negative log-likelihood in a random order, nats per row"

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def orderless(self) -> Orderless:
        """The orderless model."""
        inner = getattr(self.model, "rows", self.model)
        assert isinstance(inner, Orderless)  # noqa: S101
        return inner

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per row, a scalar, for a batch (x,) of B rows and weights (B,)."""
        x = self.model._flatten(batch[0], None)[0]  # type: ignore[operator]
        losses = [self._losses(x) for _ in range(1 if self.training else DRAWS)]
        return weighted_mean(torch.stack(losses).mean(0), weights)

    def _losses(self, x: Tensor) -> Tensor:
        """Return the loss of each row with a new order and cut, (B,)."""
        rows, size = len(x), self.orderless.coding.size
        asked = self.orderless.coding.asked(x)
        # The position of an entry in a random order is the rank of a uniform number. Entries that are not given come last.
        uniform = torch.rand(rows, size, device=x.device)
        position = (uniform if asked is None else uniform + 2 * ~asked).argsort(1).argsort(1)
        count = torch.full((rows,), size, device=x.device) if asked is None else asked.sum(1)
        # Every number of observed entries 0 ... D - 1 has the same probability in each row; among the rows of a batch they
        # are spread evenly, which lowers the variance.
        even = (torch.arange(rows, device=x.device) + torch.rand(rows, device=x.device)) / max(rows, 1)
        cut = torch.minimum((even[torch.randperm(rows, device=x.device)] * count).long(), (count - 1).clamp_min(0))
        observed = position < cut.unsqueeze(1)
        terms = self.orderless.all_terms(x, observed)
        weight = count / (count - cut).clamp_min(1).to(terms.dtype)
        scored = ~observed if asked is None else asked & ~observed
        return -weight * terms.masked_fill(~scored, 0.0).sum(1)
