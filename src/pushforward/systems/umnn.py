"""UMNN: unconstrained monotonic neural network, an autoregressive flow of integrals of positive networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..transforms import IntegratedNetwork
from .scalar_map_spec import ScalarMapSpec


@dataclass(frozen=True, kw_only=True)
class UMNN(ScalarMapSpec):
    """Unconstrained monotonic neural network: each number passes the integral of a positive network.

        z_i = shift_i + int_0^x_i g(t; net_i(x_<i)) dt,    g > 0

    Args:
        units: Number of units in each hidden layer of the positive network g.
        depth: Number of hidden layers of g, 1 or 2; with 2, `nodes` should be 96.
        nodes: Even number of intervals between the nodes of the quadrature.
        bound: Half-width of the interval outside of which the map is a straight line; 5 suits standardised data.
    """

    name = "umnn"
    family = "neural maps"
    paper = "Wehenkel, Louppe 2019, arXiv:1908.05164"

    units: int = 12
    depth: int = 1
    nodes: int = 48
    bound: float = 5.0

    def validate(self) -> None:
        """Check the sizes of the networks and of the map."""
        super().validate()
        _ = self.scalar_map  # the map checks its own sizes

    @property
    def scalar_map(self) -> IntegratedNetwork:
        """Integral of a positive network for each coordinate, which starts as the identity."""
        return IntegratedNetwork(self.bound, self.units, self.depth, self.nodes)

    @classmethod
    def cases(cls) -> Iterator[UMNN]:
        """Yield an autoregressive spec, and a coupling spec with two hidden layers in g and a context."""
        yield cls(features=2, layers=1, hidden=8, units=4)
        yield cls(features=2, layers=1, hidden=8, units=3, depth=2, nodes=64, structure="coupling", context=2)
