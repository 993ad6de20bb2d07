"""Independent distributions on the parts of a product of spaces."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core import Distribution, Product
from ..errors import SpecError


class SideBySide(Distribution):
    """Distribution of independent parts, log p(x) = sum_i log p_i(x_i), on the product of their spaces.

    Args:
        *distributions: Distributions on continuous spaces of vectors, without a context.

    Raises:
        SpecError: A distribution has a context.
    """

    space: Product

    def __init__(self, *distributions: Distribution) -> None:
        super().__init__()
        if any(part.context is not None for part in distributions):
            raise SpecError("expected distributions without a context, got one with a context")
        self.distributions = torch.nn.ModuleList(distributions)
        self.space = Product(*(part.space for part in distributions))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        pairs = zip(self.distributions, self.space.split(x), strict=True)
        return torch.stack([part._log_prob(v, None) for part, v in pairs]).sum(0)  # type: ignore[operator]

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        drawn = [part._sample(n, None) for part in self.distributions]  # type: ignore[operator]
        return torch.cat([x for x, _ in drawn], 1), torch.stack([logp for _, logp in drawn]).sum(0)
