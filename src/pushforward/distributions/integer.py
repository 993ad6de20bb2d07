"""Distributions on the integers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Distribution, Integers
from ..functional.bounds import soft_clip, sum_events


class DiscretisedLogistic(Distribution):
    """P(k) = sigmoid(b) - sigmoid(a) with a, b = (k -/+ 1/2 - m) / s, for every integer k.

    Computed as log P = log sigmoid(b) + log sigmoid(-a) + log(1 - exp(a - b)), which holds in both tails: the difference of
    sigmoids is sigmoid(b) sigmoid(-a) (1 - exp(a - b)) (Hoogeboom et al. 2019, arXiv:1905.07376, eq. 5).

    Args:
        shape: of one event.
        bound: |log s| stays below it.
    """

    def __init__(self, shape: tuple[int, ...], *, bound: float = 6.0) -> None:
        super().__init__()
        self.space, self.bound = Integers(shape), bound
        self.loc = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        rate = (-soft_clip(self.log_scale, self.bound)).exp()
        centred = (x - self.loc) * rate
        a, b = centred - rate / 2, centred + rate / 2
        return sum_events(F.logsigmoid(b) + F.logsigmoid(-a) + torch.log(-torch.expm1(-rate)))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        tiny = torch.finfo(self.loc.dtype).eps
        u = torch.rand(n, *self.space.shape, dtype=self.loc.dtype, device=self.loc.device).clamp(tiny, 1 - tiny)
        x = (self.loc + soft_clip(self.log_scale, self.bound).exp() * torch.logit(u)).round()
        return x, self._log_prob(x, context)
