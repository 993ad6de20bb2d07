"""Average of autoregressive models with several masks on the same weights.

    p(x | c) = 1/S sum_s p_s(x | c)

p_s is the autoregressive model of mask s, so p is a mixture of S densities and exact (Germain et al. 2015, arXiv:1502.03509,
section 4.2; Uria et al. 2014, arXiv:1310.1757, section 5, for orders). In training every batch uses one mask at random, and
its log-density is, on average, a lower bound of that of the mixture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core import Distribution, Space, context_space
from ..errors import SpecError
from ..networks import MaskEnsemble
from .autoregressive_model import AutoregressiveModel
from .factors import Factor


class OrderAverage(Distribution):
    """Mixture of the autoregressive models of all masks of a `MaskEnsemble`, with equal weights.

    Args:
        space: Space of one event, of shape (D,).
        factor: Distribution of one entry.
        net: Network with several masks.
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: The factor or the network does not fit the space.
    """

    differentiable_draws = False

    def __init__(self, space: Space, factor: Factor, net: MaskEnsemble, *, context: int | Space = 0) -> None:
        super().__init__()
        factor.check(space)
        if (net.features, net.n, net.width) != (space.size // math.prod(factor.entry), factor.n, factor.width):
            raise SpecError(
                f"expected a network of {space.size} features of width {factor.width} with {factor.n} parameters each, "
                f"got {net.features} of width {net.width} with {net.n}"
            )
        self.space, self.factor, self.net, self.context = space, factor, net, context_space(context)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the biases of a fresh network so that every entry starts with the distribution of the batch."""
        start = self.factor.start(x)
        if start is not None:
            self.net.start_at(start.to(self.dtype))

    def each(self, x: Tensor, which: int, context: Tensor | None = None) -> Tensor:
        """Return the log-density under one mask in nats: x (B, *shape) -> (B,)."""
        codes = self.factor.codes(x, self.dtype)
        return self.factor.log_prob(x, self.net(codes.flatten(1), context, which)).sum(1)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        if self.training:
            return self.each(x, int(torch.randint(self.net.masks, ())), context)
        logp = torch.stack([self.each(x, s, context) for s in range(self.net.masks)])
        return logp.logsumexp(0) - math.log(self.net.masks)

    @torch.no_grad()
    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(self.net.masks, (n,), device=self.device)
        parts, places = [], []
        for s in chosen.unique().tolist():
            rows = (chosen == s).nonzero().squeeze(1)
            one = AutoregressiveModel(self.space, self.factor, self.net.member(s), context=self.context or 0)
            given = None if context is None else context[rows]
            parts.append(one._sample(len(rows), given)[0])
            places.append(rows)
        if not parts:
            empty = torch.zeros(0, *self.space.shape, dtype=self.space.event_dtype(self.dtype), device=self.device)
            return empty, torch.zeros(0, dtype=self.dtype, device=self.device)
        x = torch.cat(parts)[torch.cat(places).argsort()]
        return x, self._log_prob(x, context)
