"""Continuous flow on a sphere, trained by likelihood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ..core import Chain, Flow
from ..networks import TangentVelocity, VelocityMLP
from ..networks.velocity import TimeLayer
from .continuous_spec import ContinuousSpec
from .sphere_spec import SphereSpec


@dataclass(frozen=True, kw_only=True)
class SphereCNF(ContinuousSpec, SphereSpec):
    """Continuous flow on a sphere, dy/dt = v(t, y) with a tangential velocity, log p(x) = log p(z) + int div v dt.

    The velocity is the tangential part of a network's result, and its divergence on the sphere is exact by default up to
    three coordinates.
    """

    name = "sphere-cnf"
    family = "manifold"
    paper = "Mathieu, Nickel 2020, arXiv:2006.10605"

    def build(self) -> Flow:
        """Return the flow; every velocity starts at zero."""
        layers = [
            self._continuous(
                sphere_velocity(self.features, self.hidden, self.context, self.layer, self.activation),
                self.space,
                self.context,
            )
            for _ in range(self.layers)
        ]
        return Flow(Chain(*layers), self.latent())

    @classmethod
    def cases(cls) -> Iterator[SphereCNF]:
        """Yield specs with an exact trace, with a context, and with an estimated trace."""
        yield cls(features=3, hidden=(8,), steps=2)
        yield cls(features=3, hidden=(8,), layer="concat", steps=2, context=2, base="von-mises-fisher")
        yield cls(features=2, hidden=(8,), steps=2, trace="estimated", jacobian=0.1)


def sphere_velocity(
    features: int, hidden: tuple[int, ...], context: int, layer: TimeLayer, activation: str
) -> TangentVelocity:
    """Return a tangential velocity network that is zero at the start.

    Args:
        features: Number of coordinates.
        hidden: Widths of the hidden layers.
        context: Length of the context, 0 for none.
        layer: Kind of layer, by its use of the time.
        activation: Activation function.
    """
    network = VelocityMLP(features, hidden=hidden, context=context, layer=layer, activation=activation)
    # Zero at the start, so that a base which is fitted to the data is not moved away from them.
    for p in network.layers[-1].parameters():
        nn.init.zeros_(p)
    return TangentVelocity(network)
