"""Continuously indexed layer: a bijection behind a shift and a scale that depend on a random index u.

    generation  z,   u ~ p(u|z),   x = exp(s(u)) (f^-1(z) + t(u))
    inference   u ~ q(u|x),        z = f(exp(-s(u)) x - t(u)),    dlogp = log p(u|z) - log q(u|x) - sum s(u) + log |det f'|

(Cornish et al. 2020, arXiv:1909.13833.) For each u the map is a bijection, but the union over u is not, so the model's support
may differ in topology from that of the base.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import CodeSource, Distribution, Exactness, Transform, context_space
from ..errors import ShapeError, SpecError
from ..functional.bounds import soft_clip


class ContinuousIndex(Transform):
    """Bijection f with an index u, z = f(exp(-s(u)) x - t(u)), where u has a prior p(u|z) and a posterior q(u|x).

    Args:
        layer: Bijection f of vectors; its context is the layer's own.
        prior: Distribution p(u|z); its context is z followed by the layer's own context.
        posterior: Distribution q(u|x) on the same space; its context is x followed by the layer's own context.
        network: Network of u that gives s and t, (B, length of u) -> (B, 2 D).
        context: Length of the layer's own context, 0 for none.
        bound: Upper bound of |s|.

    Raises:
        SpecError: The layer is not a bijection of vectors.
        ShapeError: The distributions have different spaces, or one of them takes another context.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(
        self,
        layer: Transform,
        prior: Distribution,
        posterior: Distribution,
        network: nn.Module,
        *,
        context: int = 0,
        bound: float = 4.0,
    ) -> None:
        super().__init__()
        if layer.x_space != layer.z_space or len(layer.x_space.shape) != 1 or layer.draws_back:
            raise SpecError(f"expected a bijection of vectors, got {type(layer).__name__} on {layer.x_space}")
        length = layer.x_space.size + context
        for part, name in ((prior, "prior"), (posterior, "posterior")):
            if part.space != prior.space or part.context is None or part.context.shape != (length,):
                raise ShapeError(
                    f"expected a {name} on {prior.space} given {length} numbers, got {part.space}, {part.context}"
                )
        self.x_space = self.z_space = layer.x_space
        self.context = context_space(context)
        self.layer, self.prior, self.posterior, self.network, self.bound = layer, prior, posterior, network, bound

    def _beside(self, v: Tensor, context: Tensor | None) -> Tensor:
        return v if self.context is None or context is None else torch.cat([v, context], 1)

    def _affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return s and t, (B, D) each."""
        s, t = self.network(u).chunk(2, 1)
        return soft_clip(s, self.bound), t

    def _inner(self, context: Tensor | None) -> Tensor | None:
        return context if self.layer.context is not None else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z for an index drawn from q(u|x), and dlogp: (B, D) -> (B, D), (B,) in nats."""
        u, log_q = self.posterior._sample(x.shape[0], self._beside(x, context))
        s, t = self._affine(u)
        z, dlogp = self.layer((-s).exp() * x - t, self._inner(context))
        return z, dlogp - s.sum(1) + self.prior._log_prob(u, self._beside(z, context)) - log_q

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x for an index drawn from p(u|z), and the negative dlogp of that pair."""
        u, log_p = self.prior._sample(z.shape[0], self._beside(z, context))
        x, dlogp = self._generated(z, u, context)
        return x, dlogp - log_p + self.posterior._log_prob(u, self._beside(x, context))

    def _generated(self, z: Tensor, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return x for a known index, and -log |det dz/dx|."""
        s, t = self._affine(u)
        y, dlogp = self.layer.inverse(z, self._inner(context))
        return s.exp() * (y + t), dlogp + s.sum(1)

    def take_apart(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return z for an index drawn from q(u|x), and the code of that index; `put_together` then gives x back."""
        u = self.posterior._sample(x.shape[0], self._beside(x, context))[0]
        s, t = self._affine(u)
        z = self.layer((-s).exp() * x - t, self._inner(context))[0]
        return z, self.prior._take_apart(u, self._beside(z, context))

    def put_together(self, z: Tensor, code_of: CodeSource, context: Tensor | None = None) -> Tensor:
        """Return x for z and the index that `code_of` supplies."""
        u = self.prior._put_together(code_of, self._beside(z, context))
        return self._generated(z, u, context)[0]
