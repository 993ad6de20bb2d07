"""Mixture of diagonal Gaussians, a base with several modes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..core import Distribution, Real
from ..errors import SpecError


class GaussianMixture(Distribution):
    """Gaussian mixture p(x) = sum_k w_k N(x; m_k, diag s_k^2) with learned weights, means and scales.

    Args:
        space: Space of one event, of shape (D,).
        components: Number of components K.
        spread: Standard deviation of the initial means, which are drawn from a normal distribution.

    Raises:
        SpecError: Events are not vectors, or there are no components.
    """

    def __init__(self, space: Real, components: int = 4, *, spread: float = 1.0) -> None:
        super().__init__()
        if len(space.shape) != 1 or components < 1:
            raise SpecError(f"expected a space of vectors and at least 1 component, got {space} and {components}")
        self.space = space
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(spread * torch.randn(components, *space.shape))
        self.log_scales = nn.Parameter(torch.zeros(components, *space.shape))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        u = (x.unsqueeze(1) - self.means) * (-self.log_scales).exp()
        each = -0.5 * (u.square() + math.log(2 * math.pi)) - self.log_scales
        return (self.logits.log_softmax(0) + each.sum(-1)).logsumexp(-1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        k = torch.multinomial(self.logits.softmax(0), n, replacement=True) if n else self.logits.new_empty(0).long()
        x = self.means[k] + self.log_scales[k].exp() * torch.randn_like(self.means[k])
        return x, self._log_prob(x, context)
