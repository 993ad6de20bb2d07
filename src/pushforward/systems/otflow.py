"""OT-Flow: a continuous flow along the gradient of a potential, with transport costs that keep its paths straight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..core import Distribution, Flow
from ..errors import SpecError
from ..functional.ode import Fixed
from ..networks import Potential
from ..objectives import PenalisedLikelihood
from ..transforms import Continuous
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class OTFlow(VectorSpec):
    """OT-Flow: dy/dt = -grad Phi(t, y) for t from 0 to 1, with the exact trace of the Hessian of Phi, by RK4.

    The potential Phi is a residual network. Training minimises the mean of

        L + alpha_c C + alpha_r R,    C = -log p(x),    L = int |v|^2 / 2 dt,    R = int |-dPhi/dt + |grad Phi|^2 / 2| dt,

    divided by alpha_c, which gives nats. L makes paths short. R makes them the paths of optimal transport, which are
    straight and have constant speed, so that few steps are enough.

    Args:
        hidden: Width m of the potential's network.
        layers: Number M + 1 of layers of the potential's network, at least 2.
        activation: Derivative of the activation function: "tanh" for log cosh, whose second derivative has a closed form.
        rank: Largest number of rows of the matrix in the quadratic term.
        steps: Number of RK4 steps in training.
        scoring_steps: Number of RK4 steps in evaluation.
        alpha_c: Weight of the negative log-likelihood, relative to the transport cost.
        alpha_r: Weight of the Hamilton-Jacobi-Bellman residual.
        gradient: Way to compute gradients: "direct", or "checkpoint" for the same gradient with one stored state per step.
    """

    name = "otflow"
    family = "continuous"
    spread = 0.3  # with larger weights, paths need many steps
    symbol = "~"
    paper = "Onken, Wu Fung, Li, Ruthotto 2021, arXiv:2006.00104"
    objective = "likelihood with transport costs"
    presets = {
        "toy": {"hidden": 32, "steps": 8, "scoring_steps": 12, "alpha_c": 30.0, "alpha_r": 1.0},
        "power": {"hidden": 128, "steps": 10, "scoring_steps": 24, "alpha_c": 500.0, "alpha_r": 5.0},
        "gas": {"hidden": 350, "steps": 10, "scoring_steps": 30, "alpha_c": 1200.0, "alpha_r": 40.0},
        "hepmass": {"hidden": 256, "steps": 12, "scoring_steps": 24, "alpha_c": 500.0, "alpha_r": 40.0},
        "miniboone": {"hidden": 256, "steps": 6, "scoring_steps": 18, "alpha_c": 100.0, "alpha_r": 15.0},
        "bsds300": {"hidden": 512, "steps": 14, "scoring_steps": 40, "alpha_c": 2000.0, "alpha_r": 800.0},
    }

    hidden: int = 64
    layers: int = 2
    activation: Literal["tanh"] = "tanh"
    rank: int = 10
    steps: int = 8
    scoring_steps: int = 16
    alpha_c: float = 100.0
    alpha_r: float = 5.0
    gradient: Literal["direct", "checkpoint"] = "direct"

    def validate(self) -> None:
        """Check the numbers of layers and steps, and the weights."""
        super().validate()
        for name, least in (
            ("layers", 2),
            ("hidden", 1),
            ("rank", 1),
            ("steps", 1),
            ("scoring_steps", 1),
            ("alpha_r", 0),
        ):
            self._at_least(name, least)
        if not self.alpha_c > 0:
            raise SpecError(f"expected {self.name}.alpha_c > 0, got {self.alpha_c}")

    def build(self) -> Flow:
        """Return the flow, which starts close to a shift."""
        potential = Potential(self.features, self.hidden, layers=self.layers, context=self.given, rank=self.rank)
        layer = Continuous(
            potential,
            self.space,
            solver=Fixed(self.steps, gradient=self.gradient),
            scoring=Fixed(self.scoring_steps),
            context=self.given,
        )
        return self.flow([layer])

    def loss(self, model: Distribution) -> nn.Module:
        """Return the loss (L + alpha_c C + alpha_r R) / alpha_c."""
        # Divided by alpha_c, the loss stays in nats, and its scale does not depend on the weights.
        return PenalisedLikelihood(model, {"energy": 1 / self.alpha_c, "hjb": self.alpha_r / self.alpha_c})

    @classmethod
    def cases(cls) -> Iterator[OTFlow]:
        """Yield specs with two features, and with a deeper potential and a context."""
        yield cls(features=2, hidden=6, steps=3, scoring_steps=4)
        yield cls(features=2, hidden=6, layers=3, steps=3, scoring_steps=4, context=3, gradient="checkpoint")
