"""FFJORD: continuous flow along a free velocity network, with an estimated trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..core import Distribution, Flow, Real
from ..functional.ode import Adaptive, Fixed, Gradient, Solver
from ..networks import VelocityMLP
from ..networks.velocity import TimeLayer
from ..objectives import PenalisedLikelihood
from ..transforms import Continuous
from ..transforms.continuous import Noise, Trace
from .vector_spec import VectorSpec

FEW = 3
"""Largest number of features for which an exact trace costs about as much as an estimated one."""


@dataclass(frozen=True, kw_only=True)
class FFJORD(VectorSpec):
    """FFJORD, dy/dt = v(t, y) with a network that takes the time, log p(x) = log p(z) + int tr(dv/dy) dt.

    By default the trace is estimated in training, with one probe per path, and exact in evaluation. Positive weights
    `energy` and `jacobian` penalise |v|^2 / 2 and the squared norm of the Jacobian in training, so that few solver steps
    are enough (Finlay, Jacobsen, Nurbekyan, Oberman 2020, arXiv:2002.02798, eq. 12).

    Args:
        layers: Number of continuous layers, each with its own network.
        hidden: Widths of the hidden layers in each network.
        layer: Kind of layer, by its use of the time: "concat", "squash" or "hyper".
        activation: Activation function of the networks: "tanh", "softplus", "silu" or "selu".
        duration: Integration time T at the start of training.
        learned: Whether T is learned.
        solver: Solver of the differential equation: "fixed" for RK4, "adaptive" for Dormand-Prince steps.
        steps: Number of steps of a fixed solver in training; evaluation takes twice as many.
        tolerance: Relative and absolute tolerance of an adaptive solver.
        gradient: Way to compute gradients through the solver: "direct", "checkpoint" or "adjoint".
        trace: Computation of the trace: "exact", "estimated", "training" (estimated in training only), or "auto": "exact"
            up to 3 features, otherwise "training".
        probes: Number of random vectors that estimate the trace.
        noise: Distribution of these vectors: "rademacher" or "gaussian".
        energy: Weight of the transport cost |v|^2 / 2 in training.
        jacobian: Weight of the squared norm of the Jacobian in training.
    """

    name = "ffjord"
    family = "continuous"
    spread = 0.3  # with larger weights, paths need many steps
    symbol = "~"
    paper = "Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud 2019, arXiv:1810.01367"
    objective = "likelihood, with transport costs where they have a weight"
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

    layers: int = 1
    hidden: tuple[int, ...] = (64, 64, 64)
    layer: TimeLayer = "squash"
    activation: Literal["tanh", "softplus", "silu", "selu"] = "tanh"
    duration: float = 1.0
    learned: bool = True
    solver: Literal["fixed", "adaptive"] = "fixed"
    steps: int = 8
    tolerance: float = 1e-5
    gradient: Gradient = "direct"
    trace: Literal["auto", "exact", "estimated", "training"] = "auto"
    probes: int = 1
    noise: Noise = "rademacher"
    energy: float = 0.0
    jacobian: float = 0.0

    def validate(self) -> None:
        """Check the arguments."""
        super().validate()
        for name in ("steps", "probes"):
            self._at_least(name, 1)
        for name in ("energy", "jacobian"):
            self._at_least(name, 0)

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
        trace: Trace = ("exact" if self.features <= FEW else "training") if self.trace == "auto" else self.trace
        return Continuous(
            velocity,
            space,
            solver=self._solver(1),
            scoring=self._solver(2),
            trace=trace,
            probes=self.probes,
            noise=self.noise,
            duration=self.duration,
            learned=self.learned,
            context=self.given,
        )

    def _solver(self, factor: int) -> Solver:
        if self.solver == "fixed":
            return Fixed(self.steps * factor, gradient=self.gradient)
        return Adaptive(self.tolerance, self.tolerance, gradient=self.gradient)

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the penalised likelihood, or None (the negative log-likelihood) if no penalty has a weight."""
        weights = {"energy": self.energy, "jacobian": self.jacobian}
        return PenalisedLikelihood(model, weights) if any(weights.values()) else None

    @classmethod
    def cases(cls) -> Iterator[FFJORD]:
        """Yield specs with an exact trace, with a context and checkpoints, and with an estimated trace."""
        yield cls(features=2, hidden=(8,), steps=2)
        yield cls(features=2, hidden=(8,), layer="concat", steps=2, context=3, gradient="checkpoint", trace="training")
        yield cls(features=2, hidden=(8,), layer="hyper", steps=2, trace="estimated", jacobian=0.1)
