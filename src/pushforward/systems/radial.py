"""Radial flow: a Gaussian stretched or shrunk around one centre after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Real
from ..transforms import Radial
from .posterior import Posterior


@dataclass(frozen=True, kw_only=True)
class RadialFlow(Posterior):
    """x = z + beta (z - z_0) / (alpha + |z - z_0|), K times.

    Args:
        layers: Number K of centres.
    """

    name = "radial"
    family = "variational"
    paper = "Rezende, Mohamed 2015, arXiv:1505.05770"

    def step(self, index: int, space: Real) -> Radial:
        """Return one centre."""
        return Radial(space, context=self.given, hidden=self.hidden, activation=self.activation)

    @classmethod
    def cases(cls) -> Iterator[RadialFlow]:
        """Yield two features; with context."""
        yield cls(features=2, layers=2)
        yield cls(features=2, layers=1, context=2)
