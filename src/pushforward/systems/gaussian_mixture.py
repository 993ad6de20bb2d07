"""Gaussian mixture: full covariances, started by expectation-maximisation; the baseline that small tables ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Distribution, Real
from ..distributions import FullGaussianMixture
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class Mixture(Spec):
    """Gaussians with full covariances, whose weights and means are linear in the context.

        p(x | c) = sum_k w_k(c) N(x; m_k + M c, S_k)

    Args:
        features: Number of features D of a vector.
        context: Length of the context vector; 0 for none.
        components: Number of Gaussians.
    """

    name = "mixture"
    family = "mixture"
    paper = "Dempster, Laird, Rubin 1977; Fraley, Raftery 2007"
    sizes = ("features", "context")

    features: int
    context: int = 0
    components: int = 4

    def validate(self) -> None:
        """Refuse sizes out of range."""
        super().validate()
        self._at_least("features", 1)
        self._at_least("context", 0)
        self._at_least("components", 1)

    def build(self) -> Distribution:
        """Return the mixture."""
        return FullGaussianMixture(Real((self.features,)), self.components, context=self.context)

    @classmethod
    def cases(cls) -> Iterator[Mixture]:
        """Yield a mixture, and one with a context."""
        yield cls(features=2, components=3)
        yield cls(features=2, components=2, context=2)
