"""Flows on tori: couplings or autoregressive layers of angles, with maps of the circle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..core import Chain, Flow, Torus
from ..distributions import UniformTorus, VonMises
from .circle_spec import CircleSpec


@dataclass(frozen=True, kw_only=True)
class TorusFlow(CircleSpec):
    """Flow of D angles in radians, each in [0, 2 pi).

    Every layer maps angles by increasing maps of the circle whose parameters are computed from the cosines and sines of other
    angles, so the density has no jump at a full turn.

    Args:
        base: Distribution of the latent angles: "uniform", or "von-mises" (independent angles around learned directions).
    """

    name = "torus"
    family = "manifold"
    paper = "Rezende et al. 2020, arXiv:2002.02428"

    base: Literal["uniform", "von-mises"] = "uniform"

    @property
    def space(self) -> Torus:
        """The torus of D angles."""
        return Torus((self.features,))

    def build(self) -> Flow:
        """Return the flow, which starts as the identity or close to it."""
        layers = [self.layer(self.circle_map(), self.space, i) for i in range(self.layers)]
        base = UniformTorus(self.space) if self.base == "uniform" else VonMises(self.space)
        return Flow(Chain(*layers), base)

    @classmethod
    def cases(cls) -> Iterator[TorusFlow]:
        """Yield specs with every circle map, both structures and a context."""
        yield cls(features=2, layers=2, hidden=(8,), bins=4)
        yield cls(features=2, layers=2, hidden=(8,), circle="moebius", components=3, structure="coupling")
        yield cls(features=2, layers=1, hidden=(8,), circle="projection", components=2, context=2)
        yield cls(features=3, layers=2, hidden=(8,), bins=3, structure="coupling", context=2, activation="tanh")
        yield cls(features=1, layers=1, hidden=(8,), circle="moebius", components=3, base="von-mises")
