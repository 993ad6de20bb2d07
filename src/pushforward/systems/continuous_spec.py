"""Base class of systems whose layers are continuous flows along free velocity networks, trained by likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from ..core import Distribution, Real, Sphere
from ..functional.ode import Adaptive, Fixed, Gradient, Solver
from ..networks import Velocity
from ..networks.velocity import TimeLayer
from ..objectives import PenalisedLikelihood
from ..transforms import Continuous
from ..transforms.continuous import Noise, Trace
from .spec import Spec

FEW = 3
"""Largest number of features for which an exact trace costs about as much as an estimated one."""


@dataclass(frozen=True, kw_only=True)
class ContinuousSpec(Spec, register=False):
    """Base class with the arguments of continuous flows dy/dt = v(t, y), log p(x) = log p(z) + int div v dt.

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

    spread: ClassVar[float] = 0.3  # with larger weights, paths need many steps
    symbol: ClassVar[str] = "~"
    objective: ClassVar[str] = "likelihood, with transport costs where they have a weight"

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

    def _continuous(self, velocity: Velocity, space: Real | Sphere, context: int) -> Continuous:
        """Return the continuous layer along a velocity.

        Args:
            velocity: Velocity field.
            space: Space of the events.
            context: Length of the context, 0 for none.
        """
        trace: Trace = ("exact" if space.size <= FEW else "training") if self.trace == "auto" else self.trace
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
            context=context,
        )

    def _solver(self, factor: int) -> Solver:
        if self.solver == "fixed":
            return Fixed(self.steps * factor, gradient=self.gradient)
        return Adaptive(self.tolerance, self.tolerance, gradient=self.gradient)

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the penalised likelihood, or None (the negative log-likelihood) if no penalty has a weight."""
        weights = {"energy": self.energy, "jacobian": self.jacobian}
        return PenalisedLikelihood(model, weights) if any(weights.values()) else None
