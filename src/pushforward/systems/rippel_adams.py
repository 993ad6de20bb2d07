"""Deep density models of rows and pictures: a decoder of sigmoid layers with Beta latent variables, and an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..core import Distribution, Flow, Real
from ..distributions import LogitBeta
from ..errors import SpecError
from ..objectives import DeepDensity
from ..transforms import Reshape, SigmoidDecoder
from .picture_spec import ImageSpec
from .plain_spec import PlainSpec
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class DeepDensitySpec(Spec, register=False):
    """Base class of deep density models.

    Args:
        layers: Number of sigmoid layers of the decoder.
        a: First parameter of the Beta distribution of the latent variables, at least 0.1.
        b: Second parameter, at least 0.1.
        margin: Number m in (0, 1/2): each sigmoid has straight ends where it is below m or above 1 - m.
        learn: Objective of training: "losses", the three losses of the paper, or "likelihood", the negative log-likelihood.
        hidden: Widths of the hidden layers of the encoder.
        activation: Activation function of the encoder.
        divergence: Weight of the divergence of the latent marginals from the Beta distribution.
        conditioning: Weight of the logarithms of the condition numbers of the matrices.
        reconstruction: Weight of the cross-entropy of the reconstruction.
    """

    paper = "Rippel, Adams 2013, arXiv:1302.5125"
    objective = "marginals, condition numbers and reconstruction"

    layers: int = 2
    a: float = 2.0
    b: float = 2.0
    margin: float = 0.05
    learn: Literal["losses", "likelihood"] = "losses"
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "silu"
    divergence: float = 1.0
    conditioning: float = 0.3
    reconstruction: float = 10.0

    def validate(self) -> None:
        """Check the Beta distribution, the margin, the widths and the weights."""
        super().validate()
        if min(self.a, self.b) < 0.1:
            raise SpecError(f"expected {self.name}.a and {self.name}.b >= 0.1, got {self.a} and {self.b}")
        for name in ("divergence", "conditioning", "reconstruction"):
            self._at_least(name, 0)
        if not 0 < self.margin < 0.5:
            raise SpecError(f"expected {self.name}.margin between 0 and 1/2, got {self.margin}")

    def model(self, space: Real) -> tuple[SigmoidDecoder, LogitBeta]:
        """Return the decoder, as a layer from data to latent variables, and their distribution."""
        encoder = self.hidden if self.learn == "losses" else None
        decoder = SigmoidDecoder(space, self.layers, margin=self.margin, encoder=encoder, activation=self.activation)
        return decoder, LogitBeta(space, self.a, self.b)

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the three losses, or None for the likelihood."""
        if self.learn == "likelihood":
            return None
        return DeepDensity(
            model,
            divergence=self.divergence,
            conditioning=self.conditioning,
            reconstruction=self.reconstruction,
        )

    def exemptions(self) -> Mapping[str, str]:
        """Return the law that an encoder cannot keep."""
        if self.learn == "likelihood":
            return {}
        return {"gradients": "the encoder serves training only, and has no part in the density"}


@dataclass(frozen=True, kw_only=True)
class RippelAdams(DeepDensitySpec, PlainSpec):
    """Deep density model of rows: sigmoid(x) is the output of sigmoid layers whose input has independent Beta variables.

    sigmoid(x) = s(W_K ... s(W_1 z + b_1) ... + b_K),    z_i ~ Beta(a, b),    s a sigmoid with straight ends
    """

    name = "rippel-adams"
    family = "ancestors"

    def build(self) -> Flow:
        """Return the model."""
        return Flow(*self.model(self.space))

    @classmethod
    def cases(cls) -> Iterator[RippelAdams]:
        """Yield specs of two features with an encoder, and without one."""
        yield cls(features=2, hidden=(4,), margin=0.05)
        yield cls(features=2, layers=1, learn="likelihood", a=1.5, b=3.0, margin=0.05)


@dataclass(frozen=True, kw_only=True)
class ImageRippelAdams(DeepDensitySpec, ImageSpec):
    """Deep density model of pictures: as for rows, after uniform noise in each level and a logit of a + (1 - 2 a) x."""

    name = "rippel-adams-image"
    family = "images"

    alpha: float = 0.02

    def validate(self) -> None:
        """Check the arguments; the model takes no condition."""
        super().validate()
        if self.classes or self.condition:
            raise SpecError(f"expected no labels or conditions: {self.name} models pictures alone")
        if self.preprocess == "centre":
            raise SpecError(f"expected a logit as {self.name}.preprocess, because the decoder ends in a sigmoid")

    def build(self) -> Flow:
        """Return the model."""
        front = self.front()
        decoder, base = self.model(Real((self.space.size,)))
        return self.flow([*front, Reshape(front[-1].z_space, decoder.x_space.shape), decoder], base)

    @classmethod
    def cases(cls) -> Iterator[ImageRippelAdams]:
        """Yield one spec of tiny pictures."""
        yield cls(shape=(1, 1, 2), levels=2, layers=1, alpha=0.0, margin=0.05, hidden=(4,))
