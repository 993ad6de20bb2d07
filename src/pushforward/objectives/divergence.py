"""Divergences between a model q and an unnormalised target p, estimated from samples of the model.

With draws x ~ q and log w = log p(x) - log q(x); for a model with stochastic layers log w is the log-ratio over the whole path:

    reverse KL          E log w                                        <= log Z
    importance          E log 1/K sum_k w_k                            <= log Z, closer to it as K grows
    Renyi               E log (1/K sum_k w_k^(1 - a)) / (1 - a)        between the two for 0 < a < 1
    forward KL          sum_k v_k log q(x_k),  v = w / sum w           self-normalised, with constant draws and weights

(Burda, Grosse, Salakhutdinov 2016, arXiv:1509.00519; Li, Turner 2016, arXiv:1602.02311, eq. 8; Bornschein, Bengio 2015,
arXiv:1406.2751.) Each is a module; `forward(n, temperature)` returns a loss from n draws, with log p times the temperature.
"""

from __future__ import annotations

import abc
import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core import Distribution, Exactness
from ..errors import SpecError
from ..functional.score import LogDensity


class Sampler(Protocol):
    """Protocol of distributions that return draws and their log-densities."""

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return n draws (n, D) and their log-densities (n,) in nats."""


class Divergence(nn.Module, abc.ABC):
    """Base class of losses that are computed from draws of the model.

    Args:
        model: Model q, without a context.
        target: Log-density log p, up to a constant.
    """

    likelihood = False

    def __init__(self, model: Distribution, target: LogDensity) -> None:
        super().__init__()
        self.model, self.target = model, target

    @abc.abstractmethod
    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """Return the loss from `draws` draws, a scalar in nats."""

    def _log_weights(self, draws: int, temperature: float) -> Tensor:
        x, log_q = self.model._sample(draws, None)
        return temperature * self.target(x, None) - log_q


def mean_of_finite(values: Tensor) -> Tensor:
    """Return the mean over finite values; draws where the target density is zero have no gradient and are left out."""
    finite = values.isfinite()
    return torch.where(finite, values, 0.0).sum() / finite.sum().clamp_min(1)


class ReverseKL(Divergence):
    """Reverse KL divergence, loss = -E log w: minus the evidence lower bound."""

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """Return the loss from `draws` draws, a scalar in nats."""
        return -mean_of_finite(self._log_weights(draws, temperature))


class StratifiedKL(Divergence):
    """Reverse KL divergence of a mixture, with draws from every component: sum_k w_k E_k[log q - log p].

    Draws of a mixture carry no gradient of its weights; here the weights are factors of the loss, so they are trained.

    Raises:
        SpecError: The model is no mixture of distributions.
    """

    def __init__(self, model: Distribution, target: LogDensity) -> None:
        super().__init__(model, target)
        if not hasattr(model, "components") or not hasattr(model, "log_weights"):
            raise SpecError(f"expected a mixture of distributions, got {type(model).__name__}")

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """Return the loss from `draws` draws, the same number from each component, a scalar in nats."""
        parts: Any = self.model.components
        weights = self.model.log_weights(None, 1)[0].exp()  # type: ignore[operator]
        x = torch.cat([part._sample(max(1, draws // len(parts)), None)[0] for part in parts])
        values = self.model._log_prob(x, None) - temperature * self.target(x, None)
        means = torch.stack([mean_of_finite(part) for part in values.chunk(len(parts))])
        return (weights * means).sum()


class PathGradient(Divergence):
    """Reverse KL divergence with the gradient through the draws only ("sticking the landing").

    The part that is left out, the gradient of log q at fixed draws, has mean zero. Without it the variance of the
    gradient goes to zero as q approaches p (Roeder, Wu, Duvenaud 2017, arXiv:1703.09194).

    Raises:
        SpecError: The model is not exact, so its density at a given point is not known.
    """

    def __init__(self, model: Distribution, target: LogDensity) -> None:
        super().__init__(model, target)
        if model.exactness != Exactness.EXACT:
            raise SpecError("expected a model with an exact density for path gradients, got one of stochastic layers")

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """Return the loss from `draws` draws, a scalar in nats."""
        x, _ = self.model._sample(draws, None)
        # With detached parameters, log q depends on them only through x. The part of the gradient that is dropped is
        # E_q[grad log q(x)] at fixed x, which is the gradient of the integral of q, and so zero.
        fixed = {name: p.detach() for name, p in self.model.named_parameters()}
        log_q = functional_call(self.model, fixed, (x,))
        return mean_of_finite(log_q - temperature * self.target(x, None))


class Renyi(Divergence):
    """Renyi bound, loss = -E log (1/K sum_k w_k^(1 - a)) / (1 - a).

    It is the importance-weighted bound at a = 0 and the reverse KL divergence at a = 1.

    Args:
        model: Model q, without a context.
        target: Log-density log p, up to a constant.
        alpha: Order a >= 0.
        samples: Number of samples K in each average; 0 for all draws of a step.

    Raises:
        SpecError: The argument `alpha` or `samples` is negative.
    """

    def __init__(self, model: Distribution, target: LogDensity, alpha: float = 0.0, samples: int = 16) -> None:
        super().__init__(model, target)
        if alpha < 0 or samples < 0:
            raise SpecError(f"expected alpha >= 0 and samples >= 0, got {alpha} and {samples}")
        self.alpha, self.samples = alpha, samples

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """Return the loss from `draws` draws, a scalar in nats."""
        samples = self.samples or draws
        groups = max(1, draws // samples)
        log_w = self._log_weights(groups * samples, temperature).reshape(groups, samples)
        if self.alpha == 1.0:
            return -mean_of_finite(log_w)
        power = 1 - self.alpha
        return -mean_of_finite((power * log_w).logsumexp(1) - math.log(samples)) / power


class ForwardKL(Divergence):
    """Forward KL divergence, loss = -sum_k v_k log q(x_k), over weighted draws of the model or of another distribution.

    Args:
        model: Model q, without a context.
        target: Log-density log p, up to a constant.
        proposal: Distribution of the draws, by default the model. Its draws may cover modes that the model lacks.
    """

    def __init__(self, model: Distribution, target: LogDensity, proposal: Sampler | None = None) -> None:
        super().__init__(model, target)
        self.proposal = proposal

    def forward(self, draws: int, temperature: float = 1.0) -> Tensor:
        """Return the loss from `draws` draws, a scalar in nats."""
        with torch.no_grad():
            x, log_q = (
                self.model._sample(draws, None) if self.proposal is None else self.proposal.sample_and_log_prob(draws)
            )
        # The softmax of log w is w / sum w, in which the unknown factor Z cancels. As the weights are constants, the
        # gradient is that of a weighted maximum likelihood.
        shares = (temperature * self.target(x, None).detach() - log_q).softmax(0)
        return -(shares * self.model._log_prob(x, None)).sum()


DIVERGENCES: dict[str, type[Divergence]] = {
    "reverse-kl": ReverseKL,
    "path": PathGradient,
    "iwae": Renyi,
    "forward-kl": ForwardKL,
}
"""Divergences by the names that `posteriors.fit` accepts."""
