"""Elementary distributions whose parameters a network makes from the context: encoders, decoders, learned priors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Distribution, Integers, Real
from ..functional.bounds import soft_clip, sum_events
from ..networks import MLP


class ConditionalNormal(Distribution):
    """N(x; m(c), diag s(c)^2) with log s smoothly bounded.

    Args:
        space: of x.
        context: length of c.
        hidden: widths of the network's layers.
        net: a network of your own, from c to twice the space's size; then `hidden` is unused.
        bound: |log s| stays below it.
    """

    def __init__(
        self,
        space: Real,
        context: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        net: nn.Module | None = None,
        bound: float = 6.0,
    ) -> None:
        super().__init__()
        self.space, self.context, self.bound = space, Real((context,)), bound
        self.net = MLP(context, 2 * space.size, hidden=hidden, zero=False) if net is None else net

    def _loc_and_log_scale(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        loc, log_scale = self.net(context).reshape(-1, 2, *self.space.shape).unbind(1)
        return loc, soft_clip(log_scale, self.bound)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return _normal(x, *self._loc_and_log_scale(context))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        loc, log_scale = self._loc_and_log_scale(context)
        x = loc + log_scale.exp() * torch.randn_like(loc)
        return x, _normal(x, loc, log_scale)


class ConditionalBernoulli(Distribution):
    """Independent bits with probabilities sigmoid(l(c)).

    Args:
        shape: of x, in {0, 1}.
        context: length of c.
        hidden: widths of the network's layers.
    """

    def __init__(self, shape: tuple[int, ...], context: int, *, hidden: tuple[int, ...] = (64, 64)) -> None:
        super().__init__()
        self.space, self.context = Integers(shape, 0, 1), Real((context,))
        self.net = MLP(context, self.space.size, hidden=hidden, zero=False)

    def _logits(self, context: Tensor | None) -> Tensor:
        return self.net(context).reshape(-1, *self.space.shape)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return sum_events(F.logsigmoid((2 * x - 1) * self._logits(context)))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        logits = self._logits(context)
        x = (torch.rand_like(logits) < logits.sigmoid()).to(logits.dtype)
        return x, sum_events(F.logsigmoid((2 * x - 1) * logits))


def _normal(x: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    u = (x - loc) * (-log_scale).exp()
    return sum_events(-0.5 * (u.square() + math.log(2 * math.pi)) - log_scale)
