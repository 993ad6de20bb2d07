"""Planar flow: a Gaussian that is bent along one direction after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Real
from ..transforms import Planar
from .posterior import Posterior


@dataclass(frozen=True, kw_only=True)
class PlanarFlow(Posterior):
    """Planar flow: K steps x = z + u tanh(w.z + b), each of which expands or contracts space across a plane.

    Args:
        layers: Number K of steps.
    """

    name = "planar"
    family = "variational"
    paper = "Rezende, Mohamed 2015, arXiv:1505.05770"

    def step(self, index: int, space: Real) -> Planar:
        """Return one planar layer."""
        return Planar(space, context=self.given, hidden=self.hidden, activation=self.activation)

    @classmethod
    def cases(cls) -> Iterator[PlanarFlow]:
        """Yield specs with two features, without and with a context."""
        yield cls(features=2, layers=2)
        yield cls(features=2, layers=1, context=2, hidden=(6,))
