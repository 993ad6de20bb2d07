"""FFJORD: continuous flow along a free velocity network, with an estimated trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..core import Flow, Real
from ..networks import VelocityMLP
from ..transforms import Continuous
from .continuous_spec import ContinuousSpec
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class FFJORD(ContinuousSpec, VectorSpec):
    """FFJORD, dy/dt = v(t, y) with a network that takes the time, log p(x) = log p(z) + int tr(dv/dy) dt.

    By default the trace is estimated in training, with one probe per path, and exact in evaluation. Positive weights
    `energy` and `jacobian` penalise |v|^2 / 2 and the squared norm of the Jacobian in training, so that few solver steps
    are enough (Finlay, Jacobsen, Nurbekyan, Oberman 2020, arXiv:2002.02798, eq. 12).
    """

    name = "ffjord"
    family = "continuous"
    paper = "Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud 2019, arXiv:1810.01367"
    presets = {
        "toy": {
            "hidden": (64, 64, 64),
            "duration": 0.5,
            "solver": "adaptive",
            "tolerance": 1e-5,
            "gradient": "adjoint",
        },
        "regularised": {"energy": 0.01, "jacobian": 0.01},
    }

    activation: Literal["tanh", "softplus", "silu", "selu"] = "tanh"

    def build(self) -> Flow:
        """Return the flow; every velocity starts at zero."""
        return self.flow([self._layer(self.space) for _ in range(self.layers)])

    def _layer(self, space: Real) -> Continuous:
        velocity = VelocityMLP(
            self.features,
            hidden=self.hidden,
            context=self.given,
            layer=self.layer,
            activation=self.activation,
            zero=True,
        )
        return self._continuous(velocity, space, self.given)

    @classmethod
    def cases(cls) -> Iterator[FFJORD]:
        """Yield specs with an exact trace, with a context and checkpoints, and with an estimated trace."""
        yield cls(features=2, hidden=(8,), steps=2)
        yield cls(features=2, hidden=(8,), layer="concat", steps=2, context=3, gradient="checkpoint", trace="training")
        yield cls(features=2, hidden=(8,), layer="hyper", steps=2, trace="estimated", jacobian=0.1)
