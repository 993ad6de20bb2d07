"""Copula and marginal flows: marginals with prescribed tails, and a flow whose marginals are uniform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Chain, Flow, Transform
from ..distributions import Logistic
from ..transforms import CopulaLayer
from .copula_spec import CopulaSpec


@dataclass(frozen=True, kw_only=True)
class Copula(CopulaSpec):
    """Marginals with generalised Pareto tails, and a copula flow with uniform marginals.

    The likelihood is exact. The marginals of the copula are uniform up to the error of a quadrature: near rounding for two
    features, and about 0.01 for more; the report measures it.

    Args:
        hidden: Widths of the hidden layers in the network of the copula.
        components: Number of logistic distributions in each conditional distribution of the copula.
        nodes: Number of nodes of the quadrature of the second marginal of the copula; further ones have 4 times as many.
    """

    name = "copula"
    family = "copulas"
    paper = "Wiese, Knobloch, Korn 2019, arXiv:1907.03361"

    hidden: tuple[int, ...] = (32, 32)
    components: int = 4
    nodes: int = 64

    def validate(self) -> None:
        """Check the numbers of components and nodes."""
        super().validate()
        self._at_least("components", 1)
        self._at_least("nodes", 16)

    def build(self) -> Flow:
        """Return the flow."""
        layers: list[Transform] = [self.marginals()]
        if self.features > 1:
            layers.append(CopulaLayer(self.space, self.components, hidden=self.hidden, nodes=self.nodes))
        return Flow(Chain(*layers), Logistic(self.space))

    @classmethod
    def cases(cls) -> Iterator[Copula]:
        """Yield specs with two features and with three."""
        yield cls(features=2, bins=3, trained=True, hidden=(6,), components=2, nodes=16)
        yield cls(features=3, bins=3, hidden=(6,), components=2, nodes=16)
