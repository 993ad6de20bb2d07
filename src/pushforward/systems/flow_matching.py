"""Flow matching: a continuous flow whose velocity is learned by regression, without solving anything in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..core import Chain, Distribution, Flow, Real
from ..distributions import Normal
from ..errors import SpecError
from ..functional.ode import Fixed
from ..networks import VelocityMLP
from ..networks.velocity import TimeLayer
from ..objectives.matching import (
    Bridge,
    Conditional,
    FlowMatching,
    OptimalTransport,
    SchroedingerBridge,
    Straight,
    VariancePreserving,
)
from ..transforms import Continuous
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class Matching(Spec):
    """v learned from bridges between data and noise; likelihood and samples are those of the continuous flow along v.

    Args:
        features: D.
        context: length of the context, 0 for none.
        hidden: widths of the velocity's network.
        layer: how the time enters it: "concat", "squash" or "hyper".
        activation: "tanh", "softplus", "silu" or "selu".
        bridge: "independent" (I-CFM), "ot" (OT-CFM: pairs of optimal transport in each batch), "conditional" (Lipman et al.),
            "variance-preserving" or "schroedinger".
        sigma: deviation of the noise around the bridge; unused by "variance-preserving".
        steps: of RK4, in evaluation.
    """

    name = "flow-matching"
    family = "continuous"
    spread = 0.3  # farther from their start, paths need many steps
    symbol = "~"
    paper = "Lipman, Chen, Ben-Hamu, Nickel, Le 2023, arXiv:2210.02747; Tong et al. 2024, arXiv:2302.00482"
    objective = "flow matching"

    features: int
    context: int = 0
    hidden: tuple[int, ...] = (128, 128, 128)
    layer: TimeLayer = "concat"
    activation: Literal["tanh", "softplus", "silu", "selu"] = "silu"
    bridge: Literal["independent", "ot", "conditional", "variance-preserving", "schroedinger"] = "ot"
    sigma: float = 0.0
    steps: int = 16

    def validate(self) -> None:
        """Refuse arguments out of range."""
        super().validate()
        self._at_least("steps", 1)
        self._at_least("sigma", 0)
        if self.bridge == "schroedinger" and self.sigma == 0:
            raise SpecError(f"expected {self.name}.sigma > 0 for a Schroedinger bridge, got 0; 0.5 is a good start")

    def build(self) -> Flow:
        """The flow."""
        velocity = VelocityMLP(
            self.features, hidden=self.hidden, context=self.context, layer=self.layer, activation=self.activation
        )
        space = Real((self.features,))
        return Flow(Chain(Continuous(velocity, space, solver=Fixed(self.steps), context=self.context)), Normal(space))

    def loss(self, model: Distribution) -> nn.Module:
        """`FlowMatching` with the chosen bridge."""
        return FlowMatching(model, self._bridge())

    def _bridge(self) -> Bridge:
        if self.bridge == "variance-preserving":
            return VariancePreserving()
        known: dict[str, Callable[[float], Bridge]] = {
            "independent": Straight,
            "ot": OptimalTransport,
            "conditional": Conditional,
            "schroedinger": SchroedingerBridge,
        }
        return known[self.bridge](self.sigma)

    @classmethod
    def cases(cls) -> Iterator[Matching]:
        """Two features; with context."""
        yield cls(features=2, hidden=(8,), steps=2)
        yield cls(features=2, hidden=(8, 8), steps=2, context=3, bridge="variance-preserving")
