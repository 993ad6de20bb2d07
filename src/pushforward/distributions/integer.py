"""Distributions on the integers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core import Distribution, Integers, Space, Symbols, context_space
from ..errors import SpecError
from ..functional.bounds import soft_clip, sum_events
from ..functional.logistic import discretised_logistic
from .chance import Chance


class DiscretisedLogistic(Distribution):
    """Independent whole numbers, each from a mixture of M logistic distributions rounded to whole numbers.

        P(k) = sum_j w_j (sigmoid((k + 1/2 - m_j) / s_j) - sigmoid((k - 1/2 - m_j) / s_j))

    (Hoogeboom et al. 2019, arXiv:1905.07376, eq. 5 and section 4). The parameters are learned, one set for each entry of
    an event, or computed from the context; with a context it is the conditional prior of what a multi-scale model factors out.

    Args:
        shape: Shape of one event, (D,) or (C, H, W).
        components: Number of components M. Their means start evenly spaced, because equal components would stay equal.
        unit: Unit of means and scales; it is chosen so that parameters of size one suit the data.
        bound: Upper bound of |log(s / unit)|.
        context: Length of the context, 0 for none; or its space.
        network: Function (inputs, outputs) that returns the network of a context. For vectors: from the context's length
            to 3 M parameters for each entry. For pictures of the event's height and width: from the context's channels to
            3 M parameters for each channel.

    Raises:
        SpecError: There are no components, or only one of `context` and `network` is given.
    """

    made_by = {"network": "net"}

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        components: int = 1,
        unit: float = 1.0,
        bound: float = 6.0,
        context: int | Space = 0,
        network: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if components < 1:
            raise SpecError(f"expected at least 1 component, got {components}")
        self.space, self.context = Integers(shape), context_space(context)
        if (self.context is None) != (network is None):
            raise SpecError("expected a context and a network that makes the parameters from it, or neither")
        self.components, self.unit, self.bound = components, unit, bound
        self.free = nn.Parameter(torch.zeros(3 * components, *shape))
        spread = torch.arange(components) - (components - 1) / 2
        self.free.data[components : 2 * components] += spread.reshape(-1, *(1 for _ in shape))
        self.net = None
        if network is not None and self.context is not None:
            self.net = network(self.context.shape[0], 3 * components * shape[0])

    def _parameters_for(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-weights, means and log-scales, each (n, *shape, M)."""
        p = self.free.expand(n, *self.free.shape)
        if self.net is not None:
            p = p + self.net(context).reshape(p.shape)
        weights, means, scales = p.unflatten(1, (3, -1)).movedim(2, -1).unbind(1)
        return (
            weights.log_softmax(-1),
            self.unit * means,
            soft_clip(scales, self.bound) + math.log(self.unit),
        )

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the means to quantiles of a logistic with the batch's mean and deviation, and the scales to match."""
        m = self.components
        mean, deviation = x.mean(0), x.std(0).clamp_min(0.1)
        # The logit of u is the quantile u of the standard logistic distribution.
        places = ((torch.arange(m, device=x.device) + 0.5) / m).logit().reshape(-1, *(1 for _ in mean.shape))
        # The scale of a logistic distribution is sqrt(3) / pi times its standard deviation.
        scale = deviation * (math.sqrt(3) / math.pi)
        self.free.data[m : 2 * m] = ((mean + places * scale) / self.unit).to(self.free.dtype)
        # The inverse of soft_clip, s / sqrt(1 + (s / bound)^2), so that the clipped value is `raw`.
        raw = (scale / self.unit / m**0.5).log().clamp(-0.9 * self.bound, 0.9 * self.bound)
        self.free.data[2 * m :] = raw * torch.rsqrt(1 - (raw / self.bound).square())

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return sum_events(discretised_logistic(x, *self._parameters_for(x.shape[0], context)))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        chance = Chance()
        return self._generate(chance, n, context), torch.as_tensor(chance.logp)

    def _generate(self, symbols: Symbols, n: int, context: Tensor | None) -> Tensor:
        return symbols.integers(*self._parameters_for(n, context))
