"""Flow matching: a continuous flow whose velocity is learned by regression, without an ODE solver in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..core import Distribution, Flow
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
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class Matching(VectorSpec):
    """Flow matching with bridges between data and noise; the model is the continuous flow along the learned velocity.

    Args:
        hidden: Widths of the hidden layers in the network of the velocity.
        layer: Kind of layer, by its use of the time: "concat", "squash" or "hyper".
        activation: Activation function of the network: "tanh", "softplus", "silu" or "selu".
        bridge: Paths between noise and data: "independent" (I-CFM), "ot" (OT-CFM, pairs from optimal transport in each
            batch), "conditional" (Lipman et al.), "variance-preserving" or "schroedinger".
        sigma: Standard deviation of the noise around the bridge; not used by "variance-preserving".
        base: Distribution of the latent variables; only "normal", where the bridges end.
        steps: Number of RK4 steps in evaluation.
    """

    name = "flow-matching"
    family = "continuous"
    spread = 0.3  # with larger weights, paths need many steps
    symbol = "~"
    paper = "Lipman, Chen, Ben-Hamu, Nickel, Le 2023, arXiv:2210.02747; Tong et al. 2024, arXiv:2302.00482"
    objective = "flow matching"

    hidden: tuple[int, ...] = (128, 128, 128)
    layer: TimeLayer = "concat"
    activation: Literal["tanh", "softplus", "silu", "selu"] = "silu"
    bridge: Literal["independent", "ot", "conditional", "variance-preserving", "schroedinger"] = "ot"
    sigma: float = 0.0
    base: Literal["normal"] = "normal"
    steps: int = 16

    def validate(self) -> None:
        """Check the arguments."""
        super().validate()
        self._at_least("steps", 1)
        self._at_least("sigma", 0)
        if self.bridge == "schroedinger" and self.sigma == 0:
            raise SpecError(f"expected {self.name}.sigma > 0 for a Schroedinger bridge, got 0; 0.5 is a good start")

    def build(self) -> Flow:
        """Return the continuous flow."""
        velocity = VelocityMLP(
            self.features, hidden=self.hidden, context=self.given, layer=self.layer, activation=self.activation
        )
        return self.flow([Continuous(velocity, self.space, solver=Fixed(self.steps), context=self.given)])

    def loss(self, model: Distribution) -> nn.Module:
        """Return the flow matching loss with the chosen bridge."""
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
        """Yield specs with two features, without and with a context."""
        yield cls(features=2, hidden=(8,), steps=2)
        yield cls(features=2, hidden=(8, 8), steps=2, context=3, bridge="variance-preserving")
