"""Mixture of flows: several flows with weights, each of which starts at a cluster of the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Chain, Distribution, Flow
from ..distributions import MixtureOf
from ..errors import SpecError
from ..transforms import ActNorm
from .vector_spec import VectorSpec, member_flow, require_member


@dataclass(frozen=True, kw_only=True)
class MixtureOfFlows(VectorSpec):
    """Mixture p(x) = sum_k w_k p_k(x) of flows of one system, each behind a shift and scale to a cluster of the data.

    One flow maps connected sets to connected sets, so it has bridges between separate modes; a mixture has none.

    Args:
        member: System of the components, such as "realnvp", "nsf" or "maf".
        layers: Number of layers of a component.
        hidden: Widths of the hidden layers of each network.
        components: Number of flows.
        gated: Whether the weights are a function of the context.
    """

    name = "mixture-of-flows"
    family = "mixture"
    paper = "Papamakarios et al. 2021, arXiv:1912.02762, section 5; Pires and Figueiredo 2020, arXiv:2009.00585"

    member: str = "realnvp"
    layers: int = 4
    hidden: tuple[int, ...] = (64, 64)
    gated: bool = False

    def validate(self) -> None:
        """Check that the components are a system of vectors."""
        super().validate()
        require_member(self.member, "the components", other_than=MixtureOfFlows)
        if self.gated and not (self.context or self.classes):
            raise SpecError("expected a context or classes for gated weights, got none")

    def component(self) -> Distribution:
        """Return one component."""
        flow = member_flow(
            self.member,
            "the components",
            features=self.features,
            context=self.context,
            classes=self.classes,
            layers=self.layers,
            hidden=self.hidden,
            activation=self.activation,
            base=self.base,
        )
        return Flow(Chain(ActNorm(self.space), flow.chain), flow.base, flow.embed, flow.context if flow.embed else None)

    def build(self) -> Distribution:
        """Return the mixture."""
        return MixtureOf(*(self.component() for _ in range(self.components)), gated=self.gated)

    @classmethod
    def cases(cls) -> Iterator[MixtureOfFlows]:
        """Yield specs with two systems, and with a context and gated weights."""
        yield cls(features=2, components=2, layers=2, hidden=(8,))
        yield cls(features=2, components=3, layers=1, hidden=(8,), member="nsf", context=2, gated=True)
        yield cls(features=1, components=2, layers=1, hidden=(8,), member="maf", classes=2, gated=True)
