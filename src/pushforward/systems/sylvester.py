"""Sylvester flow: planar steps along several orthogonal directions at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Real
from ..transforms import Sylvester
from ..transforms.householder import Directions
from .posterior import Posterior


@dataclass(frozen=True, kw_only=True)
class SylvesterFlow(Posterior):
    """Sylvester flow: K steps x = z + Q R tanh(S Q^T z + b).

    Args:
        layers: Number K of steps.
        width: Number of directions of a step; 0 for the number of features.
        directions: Construction of Q: "orthogonal", "householder" or "triangular" (see `transforms.Sylvester`).
        reflections: Number of reflections with "householder".
    """

    name = "sylvester"
    family = "variational"
    paper = "van den Berg, Hasenclever, Tomczak, Welling 2018, arXiv:1803.05649"

    layers: int = 4
    width: int = 0
    directions: Directions = "orthogonal"
    reflections: int = 8

    def step(self, index: int, space: Real) -> Sylvester:
        """Return one Sylvester layer; "triangular" layers reverse the coordinates at every other step."""
        return Sylvester(
            space,
            width=self.width or None,
            directions=self.directions,
            reflections=self.reflections,
            flip=index % 2 == 1,
            context=self.given,
            hidden=self.hidden,
            activation=self.activation,
        )

    @classmethod
    def cases(cls) -> Iterator[SylvesterFlow]:
        """Yield one spec for each kind of directions."""
        yield cls(features=2, layers=1)
        yield cls(features=2, layers=1, directions="householder", reflections=2, context=2)
        yield cls(features=2, layers=2, directions="triangular")
