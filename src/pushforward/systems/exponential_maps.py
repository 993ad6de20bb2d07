"""Exponential-map flow: points of a sphere move along the gradients of potentials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..core import Chain, Flow, Inverse
from ..transforms.exponential_map import ExponentialMap, QuadraticPotential, RadialPotential, SpherePotential
from .sphere_spec import SphereSpec


@dataclass(frozen=True, kw_only=True)
class ExponentialMaps(SphereSpec):
    """Exponential-map flow: K steps x -> exp_x(v) with v the tangential gradient of a potential.

    One direction has a closed form, and the other is solved by Newton's method. A step in closed form can concentrate points
    without limit, and spread them by a factor of 2 at most, so "sampling" is the stronger model.

    Args:
        layers: Number K of steps.
        potential: Kind of the potential: "radial" (a sum of radial bumps) or "polynomial" (linear and quadratic terms).
        radials: Number of radial bumps in each potential.
        closed: Direction with the closed form: "sampling", from latent to data, for fits to log-densities; or "density", from
            data to latent, for faster fits to data.
        hidden: Widths of the hidden layers of the networks from the context to the potentials; empty for linear maps.
    """

    name = "exponential-map"
    family = "manifold"
    paper = "Sei 2013; Rezende, Papamakarios, Racaniere et al. 2020, arXiv:2002.02428"

    layers: int = 12
    potential: Literal["radial", "polynomial"] = "radial"
    radials: int = 1
    closed: Literal["sampling", "density"] = "sampling"
    hidden: tuple[int, ...] = ()

    def validate(self) -> None:
        """Check the sizes."""
        super().validate()
        self._at_least("radials", 1)

    def build(self) -> Flow:
        """Return the flow."""
        steps = [ExponentialMap(self.space, self._potential()) for _ in range(self.layers)]
        layers = steps if self.closed == "density" else [Inverse(step) for step in steps]
        return Flow(Chain(*layers), self.latent())

    def _potential(self) -> SpherePotential:
        if self.potential == "polynomial":
            return QuadraticPotential(self.features, context=self.context, hidden=self.hidden)
        return RadialPotential(self.features, self.radials, context=self.context, hidden=self.hidden)

    @classmethod
    def cases(cls) -> Iterator[ExponentialMaps]:
        """Yield both directions, both potentials, a context, and spheres of two and three dimensions."""
        yield cls(features=3, layers=2, closed="density", radials=2)
        yield cls(features=3, layers=1)
        yield cls(features=4, layers=1, closed="density", potential="polynomial", context=2, base="von-mises-fisher")
