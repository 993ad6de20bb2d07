"""Radial flow: a Gaussian that is stretched or shrunk around one centre after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Real
from ..transforms import Radial
from .posterior import Posterior


@dataclass(frozen=True, kw_only=True)
class RadialFlow(Posterior):
    """Radial flow: K steps x = z + beta (z - z_0) / (alpha + |z - z_0|).

    Args:
        layers: Number K of steps.
    """

    name = "radial"
    family = "variational"
    paper = "Rezende, Mohamed 2015, arXiv:1505.05770"

    def step(self, index: int, space: Real) -> Radial:
        """Return one radial layer."""
        return Radial(space, context=self.given, hidden=self.hidden, activation=self.activation)

    @classmethod
    def cases(cls) -> Iterator[RadialFlow]:
        """Yield specs with two features, without and with a context."""
        yield cls(features=2, layers=2)
        yield cls(features=2, layers=1, context=2)
