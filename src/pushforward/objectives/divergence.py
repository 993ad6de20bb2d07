"""Divergences between a model q and an unnormalised target p, estimated from the model's own draws.

With draws x ~ q and log w = log p(x) - log q(x), where a model of stochastic layers gives its log-ratio over the whole path:

    reverse KL          E log w                                        <= log Z
    importance          E log 1/K sum_k w_k                            <= log Z, closer to it as K grows
    Renyi               E log (1/K sum_k w_k^(1 - a)) / (1 - a)        between the two for 0 < a < 1
    forward KL          sum_k v_k log q(x_k),  v = w / sum w           self-normalised, draws held fixed

(Burda, Grosse, Salakhutdinov 2016, arXiv:1509.00519; Li, Turner 2016, arXiv:1602.02311, eq. 8; Bornschein, Bengio 2015,
arXiv:1406.2751.) Each is a module whose `forward(n, temperature)` is a loss of n draws, log p multiplied by the temperature.
"""

from __future__ import annotations

import abc
import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core import Distribution, Exactness
from ..errors import SpecError
from ..functional.score import LogDensity


class Sampler(Protocol):
    """A distribution that draws and tells the log-density of its draws."""

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Draw (n, D), with (n,) nats."""


class Divergence(nn.Module, abc.ABC):
    """A loss of a model's own draws.

    Args:
        model: q, without a context.
        target: log p, without its constant.
    """

    likelihood = False

    def __init__(self, model: Distribution, target: LogDensity) -> None:
        super().__init__()
        self.model, self.target = model, target

    @abc.abstractmethod
    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """The loss of so many draws, a scalar in nats."""

    def _log_weights(self, draws: int, temperature: float) -> Tensor:
        x, log_q = self.model._sample(draws, None)
        return temperature * self.target(x, None) - log_q


def mean_of_finite(values: Tensor) -> Tensor:
    """Return the mean over draws whose target density is not zero; the others have no gradient to give."""
    finite = values.isfinite()
    return torch.where(finite, values, 0.0).sum() / finite.sum().clamp_min(1)


class ReverseKL(Divergence):
    """Loss = -E log w: minus the evidence lower bound."""

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """The loss of so many draws, a scalar in nats."""
        return -mean_of_finite(self._log_weights(draws, temperature))


class PathGradient(Divergence):
    """The value of `ReverseKL`, with the gradient through the draws alone: "sticking the landing".

    The part of the gradient that is left out, that of log q at fixed draws, is zero in the mean; without it, the gradient's
    variance vanishes as q reaches p (Roeder, Wu, Duvenaud 2017, arXiv:1703.09194).

    Raises:
        SpecError: the model is not exact: its density at a given point is not known.
    """

    def __init__(self, model: Distribution, target: LogDensity) -> None:
        super().__init__(model, target)
        if model.exactness != Exactness.EXACT:
            raise SpecError("expected a model with an exact density for path gradients, got one of stochastic layers")

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """The loss of so many draws, a scalar in nats."""
        x, _ = self.model._sample(draws, None)
        fixed = {name: p.detach() for name, p in self.model.named_parameters()}
        log_q = functional_call(self.model, fixed, (x,))
        return mean_of_finite(log_q - temperature * self.target(x, None))


class Renyi(Divergence):
    """Loss = -E log (1/K sum_k w_k^(1 - a)) / (1 - a): an importance-weighted bound at a = 0, the reverse divergence at a = 1.

    Args:
        model: q.
        target: log p.
        alpha: a >= 0.
        samples: K; 0 for all draws of a step together.

    Raises:
        SpecError: `alpha` or `samples` is negative.
    """

    def __init__(self, model: Distribution, target: LogDensity, alpha: float = 0.0, samples: int = 16) -> None:
        super().__init__(model, target)
        if alpha < 0 or samples < 0:
            raise SpecError(f"expected alpha >= 0 and samples >= 0, got {alpha} and {samples}")
        self.alpha, self.samples = alpha, samples

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """The loss of so many draws, a scalar in nats."""
        samples = self.samples or draws
        groups = max(1, draws // samples)
        log_w = self._log_weights(groups * samples, temperature).reshape(groups, samples)
        if self.alpha == 1.0:
            return -mean_of_finite(log_w)
        power = 1 - self.alpha
        return -mean_of_finite((power * log_w).logsumexp(1) - math.log(samples)) / power


class ForwardKL(Divergence):
    """Loss = -sum_k v_k log q(x_k) over weighted draws, of the model itself or of another distribution.

    Args:
        model: The model q.
        target: log p, without its constant.
        proposal: Where the draws come from; the model itself by default. Its draws may cover modes that the model lacks.
    """

    def __init__(self, model: Distribution, target: LogDensity, proposal: Sampler | None = None) -> None:
        super().__init__(model, target)
        self.proposal = proposal

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """The loss of so many draws, a scalar in nats."""
        with torch.no_grad():
            x, log_q = (
                self.model._sample(draws, None) if self.proposal is None else self.proposal.sample_and_log_prob(draws)
            )
        shares = (temperature * self.target(x, None).detach() - log_q).softmax(0)
        return -(shares * self.model._log_prob(x, None)).sum()


DIVERGENCES: dict[str, type[Divergence]] = {
    "reverse-kl": ReverseKL,
    "path": PathGradient,
    "iwae": Renyi,
    "forward-kl": ForwardKL,
}
"""By the names that `posteriors.fit` takes."""
