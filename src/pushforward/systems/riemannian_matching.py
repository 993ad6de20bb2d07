"""Riemannian flow matching: a continuous flow on a sphere whose velocity is learned by regression on great circles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..core import Chain, Distribution, Flow
from ..functional.ode import Fixed
from ..networks.velocity import TimeLayer
from ..objectives import FlowMatching
from ..objectives.geodesic_bridge import Geodesic
from ..transforms import Continuous
from .sphere_cnf import sphere_velocity
from .sphere_spec import SphereSpec


@dataclass(frozen=True, kw_only=True)
class RiemannianMatching(SphereSpec):
    """Riemannian flow matching with great circles between data and noise; the model is the continuous flow along the velocity.

    Args:
        hidden: Widths of the hidden layers in the network of the velocity.
        layer: Kind of layer, by its use of the time: "concat", "squash" or "hyper".
        activation: Activation function of the network: "tanh", "softplus", "silu" or "selu".
        bridge: Pairs of data and noise: "independent", or "ot", which have the least total squared chord in each batch.
        steps: Number of RK4 steps in evaluation.
    """

    name = "riemannian-flow-matching"
    family = "manifold"
    spread = 0.3  # with larger weights, paths need many steps
    symbol = "~"
    paper = "Chen, Lipman 2024, arXiv:2302.03660"
    objective = "flow matching"

    hidden: tuple[int, ...] = (128, 128, 128)
    layer: TimeLayer = "concat"
    activation: Literal["tanh", "softplus", "silu", "selu"] = "silu"
    bridge: Literal["independent", "ot"] = "ot"
    steps: int = 32

    def validate(self) -> None:
        """Check the arguments."""
        super().validate()
        self._at_least("steps", 1)

    def build(self) -> Flow:
        """Return the continuous flow; the velocity starts at zero."""
        velocity = sphere_velocity(self.features, self.hidden, self.context, self.layer, self.activation)
        layer = Continuous(velocity, self.space, solver=Fixed(self.steps), context=self.context)
        return Flow(Chain(layer), self.latent())

    def loss(self, model: Distribution) -> nn.Module:
        """Return the flow matching loss, with noise from the base of the flow."""
        # The model may be one of a table, with the flow somewhere inside.
        flows = [part for part in model.modules() if isinstance(part, Flow)]
        base = next(flow.base for flow in flows if any(isinstance(part, Continuous) for part in flow.chain.modules()))
        return FlowMatching(model, Geodesic(base, optimal=self.bridge == "ot"))

    @classmethod
    def cases(cls) -> Iterator[RiemannianMatching]:
        """Yield specs on the sphere, and with a context and a learned base."""
        yield cls(features=3, hidden=(8,), steps=2)
        yield cls(features=3, hidden=(8, 8), steps=2, context=2, bridge="independent", base="mixture", centres=2)
