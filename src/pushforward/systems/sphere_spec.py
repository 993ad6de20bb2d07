"""Base class of systems on spheres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core import Distribution, Sphere
from ..distributions import UniformSphere, VonMisesFisher, VonMisesFisherMixture
from ..errors import SpecError
from .curved_spec import CurvedSpec


@dataclass(frozen=True, kw_only=True)
class SphereSpec(CurvedSpec, register=False):
    """Base class with the arguments of every system of unit vectors.

    Args:
        features: Number of coordinates of a point, at least 2: unit vectors in so many dimensions.
        context: Length of the context vector; 0 for none.
        base: Distribution of the latent points: "uniform", "von-mises-fisher" (one learned direction) or "mixture" (several
            von Mises-Fisher distributions, which start at a fit to the data).
        centres: Number of components of the base "mixture".
        largest: Upper bound of the concentrations of the base, at most 1e5; likelihoods of repeated points grow with it.
    """

    base: Literal["uniform", "von-mises-fisher", "mixture"] = "uniform"
    centres: int = 16
    largest: float = 1e4

    def validate(self) -> None:
        """Check the sizes."""
        super().validate()
        self._at_least("features", 2)
        self._at_least("centres", 1)
        if not 0 < self.largest <= 1e5:
            raise SpecError(f"expected {self.name}.largest in (0, 1e5], got {self.largest}")

    @property
    def space(self) -> Sphere:
        """The sphere of unit vectors of this length."""
        return Sphere((self.features,))

    def latent(self) -> Distribution:
        """Return the distribution of the latent points, with fresh parameters."""
        if self.base == "von-mises-fisher":
            return VonMisesFisher(self.space, largest=self.largest)
        if self.base == "mixture":
            return VonMisesFisherMixture(self.space, self.centres, largest=self.largest)
        return UniformSphere(self.space)
