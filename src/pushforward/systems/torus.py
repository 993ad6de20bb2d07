"""Flows on tori: couplings or autoregressive layers of angles, with maps of the circle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Chain, Flow, Torus
from ..distributions import UniformTorus
from .circle_spec import CircleSpec


@dataclass(frozen=True, kw_only=True)
class TorusFlow(CircleSpec):
    """Flow of D angles in radians, each in [0, 2 pi), with a uniform base.

    Every layer maps angles by increasing maps of the circle whose parameters are computed from the cosines and sines of other
    angles, so the density has no jump at a full turn.
    """

    name = "torus"
    family = "manifold"
    paper = "Rezende et al. 2020, arXiv:2002.02428"

    @property
    def space(self) -> Torus:
        """The torus of D angles."""
        return Torus((self.features,))

    def build(self) -> Flow:
        """Return the flow, which starts as the identity or close to it."""
        layers = [self.layer(self.circle_map(), self.space, i) for i in range(self.layers)]
        return Flow(Chain(*layers), UniformTorus(self.space))

    @classmethod
    def cases(cls) -> Iterator[TorusFlow]:
        """Yield specs with every circle map, both structures and a context."""
        yield cls(features=2, layers=2, hidden=(8,), bins=4)
        yield cls(features=2, layers=2, hidden=(8,), circle="moebius", components=3, structure="coupling")
        yield cls(features=2, layers=1, hidden=(8,), circle="projection", components=2, context=2)
        yield cls(features=3, layers=2, hidden=(8,), bins=3, structure="coupling", context=2, activation="tanh")
        yield cls(features=1, layers=1, hidden=(8,), circle="moebius", components=3)
