"""Latent distribution of a flow that knows types of knowledge, such as "is odd": which exist, with which attributes.

Each type i has an expert, a sum of M Gaussian factors that may depend on its attributes c_i, and an encoder:

    p(z | k) = N(z; 0, 1) prod_{i: e_i = 1} phi_i(z | c_i) / Z,    phi_i = sum_m w_im exp(-1/2 sum_d l_imd (z_d - m_imd)^2)
    p(e_i = 1 | z) = sigmoid(a_i(z)),    p(c_i | z, e_i = 1) = N(c_i; b_i(z), diag s_i(z)^2)

By Bayes' rule an expert is proportional to p(e_i = 1, c_i | z), so it is bounded, and types independent given z combine
as a product. The product is a mixture of M^K Gaussians, so the normaliser Z is exact (after Livne and Fleet 2019,
arXiv:1902.01893, section 3, whose experts are small flows).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Distribution, Real
from ..errors import SpecError, suggestion
from ..functional.bounds import soft_clip
from ..networks import MLP, Parameters

WIDEST = 6.0
"""Upper bound of |log s|, for deviations of attributes and roots of precisions of experts."""
WEAK = -1.0
"""Logarithm of the root of the precisions at the start, at which experts change the density little."""
KNOWLEDGE = "knowledge"
"""Name of the term that the likelihood in both factorisations adds."""
MOST = 1024
"""Largest number of products of Gaussians."""


class Knowledge(Distribution):
    """Distribution of z given which types of knowledge exist, as a product of experts.

    The context has a number e_i for each type: 1 if it exists, 0 if it does not, and -1 if that is unknown; then the
    attributes of each type. Only types that exist (e_i > 1/2) change the density of z.

    Args:
        space: Space of the latent vectors, of shape (D,).
        types: Names of the types.
        attributes: Number of attributes of each type.
        components: Number M of Gaussian factors of each expert.
        hidden: Widths of the hidden layers of the networks.
        activation: Activation function of the networks.

    Raises:
        SpecError: There is no type, a name occurs twice, or there are too many products of Gaussians.
    """

    def __init__(
        self,
        space: Real,
        types: Sequence[str],
        *,
        attributes: int = 0,
        components: int = 1,
        hidden: tuple[int, ...] = (64,),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.space, self.attributes, self.components = space, attributes, components
        self.hidden, self.activation = hidden, activation
        self.experts, self.encoders = nn.ModuleList(), nn.ModuleList()
        self.rates = nn.ParameterList()
        self.types: tuple[str, ...] = ()
        if not types:
            raise SpecError("expected at least one type of knowledge, got none")
        for name in types:
            self.add(name)

    def add(self, name: str) -> None:
        """Add a type of knowledge with fresh parameters; the context is one number longer, or more with attributes.

        Raises:
            SpecError: The name is known, or there are too many products of Gaussians.
        """
        if name in self.types:
            raise SpecError(f"expected a new type of knowledge, got {name!r}, which is known")
        if self.components ** (len(self.types) + 1) > MOST:
            raise SpecError(
                f"expected at most {MOST:,} products of Gaussians, got {len(self.types) + 1} types with {self.components} "
                "Gaussians each; give fewer components"
            )
        size = self.space.size
        options = {"hidden": self.hidden, "activation": self.activation}
        start = torch.randn(self.components, 1 + 2 * size)
        start[:, 0], start[:, 1 + size :] = 0.0, WEAK
        self.experts.append(Parameters(start, self.attributes, **options))  # type: ignore[arg-type]
        self.encoders.append(MLP(size, 1 + 2 * self.attributes, **options))  # type: ignore[arg-type]
        self.rates.append(nn.Parameter(torch.zeros(1)))
        self.types = (*self.types, name)
        self.context = Real((len(self.types) * (1 + self.attributes),))

    def context_of(self, known: Mapping[str, bool], attributes: Mapping[str, Sequence[float]] | None = None) -> Tensor:
        """Return the context in which the named types exist or do not exist, and all others are unknown.

        Args:
            known: Whether each of some types exists, by its name.
            attributes: Attributes of types, by name; zeros by default.

        Raises:
            SpecError: A type is unknown, or has another number of attributes.
        """
        existence = torch.full((len(self.types),), -1.0)
        values = torch.zeros(len(self.types), self.attributes)
        for name, exists in known.items():
            existence[self._number(name)] = float(exists)
        for name, given in (attributes or {}).items():
            if len(given) != self.attributes:
                raise SpecError(f"expected {self.attributes} attributes of {name!r}, got {len(given)}")
            values[self._number(name)] = torch.as_tensor(given, dtype=values.dtype)
        return torch.cat([existence, values.flatten()]).to(self.dtype)

    def _number(self, name: str) -> int:
        if name not in self.types:
            raise SpecError(f"expected a type of knowledge, got {name!r}; {suggestion(name, self.types, 'there are')}")
        return self.types.index(name)

    def split(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the existence (B, K) and the attributes (B, K, C) of a context (B, K (1 + C))."""
        k = len(self.types)
        return context[:, :k], context[:, k:].unflatten(1, (k, self.attributes))

    def existence(self, z: Tensor) -> Tensor:
        """Return the probabilities p(e_i = 1 | z) of all types: (B, D) -> (B, K)."""
        return torch.stack([encoder(z)[:, 0] for encoder in self.encoders], 1).sigmoid()

    def _log_prob_aux(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return log p(z | k), and log p(z) + log p(k | z) + log p(k) - log p(z | k) under the name "knowledge".

        With half of the latter, the sum is the mean of both factorisations of log p(z, k), up to log p(k) that is counted once.
        """
        if context is None:
            raise SpecError("expected a context, the existence of the types of knowledge, got none")
        given = self._log_prob(x, context)
        alone = -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)
        both = alone + self.log_encoded(x, context) + self.log_prior(context) - given
        return given, {KNOWLEDGE: both}

    def log_encoded(self, z: Tensor, context: Tensor) -> Tensor:
        """Return sum_i [log p(e_i | z) + e_i log p(c_i | z)] over the types that are known: (B, D), (B, ...) -> (B,)."""
        existence, attributes = self.split(context)
        total = z.new_zeros(z.shape[0])
        for i, encoder in enumerate(self.encoders):
            logit, mean, log_scale = encoder(z).split([1, self.attributes, self.attributes], 1)
            total = total + _known(existence[:, i], logit[:, 0], _log_normal(attributes[:, i], mean, log_scale))
        return total

    def log_prior(self, context: Tensor) -> Tensor:
        """Return sum_i [log p(e_i) + e_i log N(c_i; 0, 1)] over the types that are known: (B, ...) -> (B,)."""
        existence, attributes = self.split(context)
        zero = torch.zeros_like(attributes[:, 0])
        terms = [
            _known(existence[:, i], rate, _log_normal(attributes[:, i], zero, zero))
            for i, rate in enumerate(self.rates)
        ]
        return torch.stack(terms).sum(0)

    def _products(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log-weights (B, P), the means and the precisions (B, P, D) of the products of Gaussians."""
        existence, attributes = self.split(context)
        rows, size = context.shape[0], self.space.size
        active = existence > 0.5
        # Sums of precisions l, of l m and of l m^2, for each product of Gaussians; the first factor is N(0, 1).
        log_w = context.new_zeros(rows, 1)
        sums = torch.cat([context.new_ones(1, rows, 1, size), context.new_zeros(2, rows, 1, size)])
        for i, expert in enumerate(self.experts):
            p = expert(attributes[:, i] if self.attributes else None).expand(rows, -1, -1)
            logits, mean, log_scale = p.split([1, size, size], -1)
            precision = (2 * soft_clip(log_scale, WIDEST)).exp()
            terms = torch.stack([precision, precision * mean, precision * mean.square()]) * active[:, i, None, None]
            log_w = (log_w[:, :, None] + logits[:, None, :, 0].log_softmax(-1)).flatten(1)
            sums = (sums[:, :, :, None] + terms[:, :, None]).flatten(2, 3)
        precision = sums[0]
        mean = sums[1] / precision
        # The integral of each product, up to a constant factor.
        log_z = 0.5 * (precision * mean.square() - sums[2] - precision.log()).sum(-1)
        return (log_w + log_z).log_softmax(-1), mean, precision

    def _density(self, x: Tensor, log_w: Tensor, mean: Tensor, precision: Tensor) -> Tensor:
        each = precision.log() - math.log(2 * math.pi) - precision * (x.unsqueeze(1) - mean).square()
        return (log_w + 0.5 * each.sum(-1)).logsumexp(1)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._density(x, *self._products(context))  # type: ignore[arg-type]

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        log_w, mean, precision = self._products(context)  # type: ignore[arg-type]
        if n == 0:
            return mean.new_zeros(0, *self.space.shape), mean.new_zeros(0)
        chosen = torch.multinomial(log_w.exp(), 1)[:, :, None].expand(-1, -1, self.space.size)
        z = mean.gather(1, chosen)[:, 0] + torch.randn_like(mean[:, 0]) / precision.gather(1, chosen)[:, 0].sqrt()
        return z, self._density(z, log_w, mean, precision)


def _known(existence: Tensor, logit: Tensor, attributes: Tensor) -> Tensor:
    """Return log p(e) + e log p(c) where e is 0 or 1, and 0 where it is -1, which means unknown."""
    exists = existence > 0.5
    return torch.where(existence < -0.5, 0.0, F.logsigmoid(torch.where(exists, logit, -logit)) + exists * attributes)


def _log_normal(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    log_scale = soft_clip(log_scale, WIDEST)
    u = (x - mean) * (-log_scale).exp()
    return (-0.5 * (u.square() + math.log(2 * math.pi)) - log_scale).sum(1)
