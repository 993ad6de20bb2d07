"""Elementary distributions whose parameters a network computes from the context: encoders, decoders, learned priors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Distribution, Integers, Real
from ..functional.bounds import soft_clip, sum_events
from ..functional.logistic import logistic_levels
from ..networks import MLP
from .chance import Chance


class ConditionalNormal(Distribution):
    """Normal distribution N(x; m(c), diag s(c)^2) given a context c, with log s smoothly bounded.

    Args:
        space: Space of x.
        context: Length of c.
        hidden: Widths of the hidden layers of the network.
        net: Your own network, from c to twice the size of the space; `hidden` is then not used.
        bound: Upper bound of |log s|.
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


class _ConditionalLevels(Distribution):
    """Base class of independent levels 0 ... K - 1 with `n` parameters each, computed by a network.

    Args:
        shape: Shape of x.
        context: Length of c.
        levels: Number of levels K.
        n: Number of parameters of one entry.
        hidden: Widths of the hidden layers of the network.
        activation: Activation function of these layers.
        net: Your own network, from c to all parameters; `hidden` and `activation` are then not used.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        context: int,
        levels: int,
        n: int,
        hidden: tuple[int, ...],
        activation: str,
        net: nn.Module | None,
    ) -> None:
        super().__init__()
        self.space, self.context, self.levels = Integers(shape, 0, levels - 1), Real((context,)), levels
        if net is None:
            net = MLP(context, n * self.space.size, hidden=hidden, activation=activation, zero=False)
        self.net = net


class ConditionalBernoulli(_ConditionalLevels):
    """Independent bits with probabilities sigmoid(l(c)) given a context c.

    Args:
        shape: Shape of x, whose entries are 0 or 1.
        context: Length of c.
        hidden: Widths of the hidden layers of the network.
        activation: Activation function of these layers.
        net: Your own network, from c to the logits; `hidden` and `activation` are then not used.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        context: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        net: nn.Module | None = None,
    ) -> None:
        super().__init__(shape, context, 2, 1, hidden, activation, net)

    def _logits(self, context: Tensor | None) -> Tensor:
        return self.net(context).reshape(-1, *self.space.shape)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        # log P(1) = logsigmoid(l) and log P(0) = logsigmoid(-l): the sign of l is that of 2 x - 1.
        return sum_events(F.logsigmoid((2 * x - 1) * self._logits(context)))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        logits = self._logits(context)
        x = (torch.rand_like(logits) < logits.sigmoid()).to(logits.dtype)
        return x, sum_events(F.logsigmoid((2 * x - 1) * logits))


class ConditionalCategorical(_ConditionalLevels):
    """Independent levels 0 ... K - 1 with probabilities softmax(l(c)) given a context c.

    Args:
        shape: Shape of x.
        context: Length of c.
        levels: Number of levels K.
        hidden: Widths of the hidden layers of the network.
        activation: Activation function of these layers.
        net: Your own network, from c to K logits for each entry; `hidden` and `activation` are then not used.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        context: int,
        *,
        levels: int = 256,
        hidden: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        net: nn.Module | None = None,
    ) -> None:
        super().__init__(shape, context, levels, levels, hidden, activation, net)

    def _logits(self, context: Tensor | None) -> Tensor:
        return self.net(context).reshape(-1, *self.space.shape, self.levels)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return sum_events(self._logits(context).log_softmax(-1).gather(-1, x.long().unsqueeze(-1)).squeeze(-1))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        logits, chance = self._logits(context), Chance()
        return chance.labels(logits).to(logits.dtype), torch.as_tensor(chance.logp)


class ConditionalLogistic(_ConditionalLevels):
    """Independent levels 0 ... K - 1 given a context c, from logistic distributions rounded to levels.

        P(k) = sigmoid((k + 1/2 - m) / s) - sigmoid((k - 1/2 - m) / s)

    m and s are functions of c (Kingma et al. 2016, arXiv:1606.04934, section 5.2, with a scale for every entry). The
    first and the last level also have the probability of the tail beyond them.

    Args:
        shape: Shape of x.
        context: Length of c.
        levels: Number of levels K.
        hidden: Widths of the hidden layers of the network.
        activation: Activation function of these layers.
        net: Your own network, from c to two parameters for each entry; `hidden` and `activation` are then not used.
        bound: Upper bound of |log(s / (K / 16))|.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        context: int,
        *,
        levels: int = 256,
        hidden: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        net: nn.Module | None = None,
        bound: float = 6.0,
    ) -> None:
        super().__init__(shape, context, levels, 2, hidden, activation, net)
        self.bound = bound

    def _mean_and_log_scale(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.net(context).reshape(-1, 2, *self.space.shape).unbind(1)
        return (self.levels - 1) * (0.5 + mean), soft_clip(log_scale, self.bound) + math.log(self.levels / 16)

    def _of(self, x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        return sum_events(logistic_levels(x, mean, log_scale, self.levels))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._of(x, *self._mean_and_log_scale(context))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        mean, log_scale = self._mean_and_log_scale(context)
        eps = torch.finfo(mean.dtype).eps
        # The logit of a uniform number has the logistic distribution; rounding it to levels gives exactly P(k).
        noise = torch.logit(torch.rand_like(mean).clamp(eps, 1 - eps))
        x = (mean + log_scale.exp() * noise).round().clamp(0, self.levels - 1)
        return x, self._of(x, mean, log_scale)


def _normal(x: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    u = (x - loc) * (-log_scale).exp()
    return sum_events(-0.5 * (u.square() + math.log(2 * math.pi)) - log_scale)
