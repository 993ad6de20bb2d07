"""Recursive flow on spheres: splines of heights, and maps of an angle given the heights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..core import Chain, Flow, Inverse, Transform
from ..transforms import Cylinder, Orthogonal, PerCoordinate, RationalQuadratic
from .circle_spec import CircleSpec
from .sphere_spec import SphereSpec


@dataclass(frozen=True, kw_only=True)
class RecursiveSphere(CircleSpec, SphereSpec):
    """Recursive flow on a sphere: each layer rotates it, maps the heights by splines, and an angle given the heights.

    A layer acts in the coordinates of a cylinder, an angle and n - 2 heights. Rotations change the axes, as a single layer is
    not smooth at its poles.

    Args:
        layers: Number of layers, each with a rotation of its own.
        bins: Number of bins of the splines, of the heights and, with `circle="spline"`, of the angle.
        closed: Direction in which Moebius maps and projections have a closed form: "density", from data to latent, or
            "sampling", from latent to data, for fits to log-densities. Splines have closed forms in both.
    """

    name = "sphere"
    family = "manifold"
    paper = "Rezende, Papamakarios, Racaniere et al. 2020, arXiv:2002.02428"

    closed: Literal["density", "sampling"] = "density"

    def build(self) -> Flow:
        """Return the flow, whose maps start as the identity or close to it."""
        layers: list[Transform] = []
        for _ in range(self.layers):
            cylinder = Cylinder(self.space)
            spline = RationalQuadratic(self.bins, low=-1.0, high=1.0)
            scalar = PerCoordinate((self.circle_map(), *[spline] * (self.features - 2)))
            # The odd order of an autoregressive layer starts at the last height and ends at the angle.
            numbers = (1, 0) if self.structure == "coupling" and self.features > 2 else (1,)
            maps = [self.layer(scalar, cylinder.z_space, number) for number in numbers]
            inner = maps if self.closed == "density" else [Inverse(layer) for layer in maps]
            layers += [Orthogonal(self.space, rotation=True), cylinder, *inner, Inverse(cylinder)]
        return Flow(Chain(*layers), self.latent())

    @classmethod
    def cases(cls) -> Iterator[RecursiveSphere]:
        """Yield the ordinary sphere, the three-sphere and the circle, with all circle maps, structures and bases."""
        yield cls(features=3, layers=1, hidden=(8,), bins=4)
        yield cls(features=3, layers=1, hidden=(8,), bins=4, circle="moebius", components=3, closed="sampling")
        yield cls(features=4, layers=1, hidden=(8,), bins=4, context=2, base="von-mises-fisher")
        yield cls(features=2, layers=1, hidden=(8,), circle="projection", components=2)
        yield cls(features=3, layers=2, hidden=(8,), bins=3, structure="coupling", base="mixture", centres=2)
