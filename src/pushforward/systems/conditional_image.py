"""Conditional flows of pictures: a picture, given another one of any size or a label."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from ..core import Box, Flow, Real, Space, Transform
from ..errors import SpecError
from ..networks import ResNet
from ..transforms import ActNorm, Affine, Coupling, Elementwise, HalfLines, Logit, Probit, Sigmoidal, half_mask
from .glow import Mixing, mixing_layer
from .picture_noise import picture_noise
from .picture_spec import ImageSpec, law_cases, one_convolution


@dataclass(frozen=True, kw_only=True)
class ConditionalImage(ImageSpec):
    """Conditional normalizing flow of pictures, p(y | x): couplings, priors of all scales, base and noise are functions of x.

        log p(y | x) >= E_q[log N(z; mu(x), sigma(x)) + log |det dz/dv| - log q(v | y, x)]

    Residual convolutions compute features of the condition x once. Each layer sees them, pooled or repeated to its own
    height and width, so x may have any size. The steps are those of Glow.

    Args:
        scales: Number of scales; the picture is squeezed at each, and between scales half of the channels leave.
        steps: Number of steps at each scale.
        hidden: Number of hidden channels of the couplings' networks.
        blocks: Number of residual blocks of the couplings' networks and of the network of the condition.
        mixing: Mixing of channels, as for `glow`.
        dropout: Probability of dropping a hidden value of the networks in training.
        dequantise: Noise of the pixels: "variational" (a conditional flow) or "fixed" (uniform, or half-normal).
        half_infinite: Whether the noise of a bit fills half of the line instead of a short interval; for two levels only.
        noise_couplings: Number of affine couplings of colours in the flow of the noise.
        noise_blocks: Number of blocks of each network in the flow of the noise.
        noise_hidden: Number of hidden channels of the networks in the flow of the noise.
    """

    name = "conditional-image"
    family = "images"
    paper = "Winkler, Worrall, Hoogeboom, Welling 2019, arXiv:1912.00042"
    presets = {
        "tiny": {"scales": 1, "steps": 2, "hidden": 16, "blocks": 1, "noise_hidden": 8, "noise_blocks": 1},
        "small": {"scales": 2, "steps": 4, "hidden": 32, "noise_hidden": 16, "noise_blocks": 1, "noise_couplings": 2},
    }

    spread = 0.1  # the noise and the density both have networks, so their bounds are looser than those of other models

    scales: int = 2
    steps: int = 8
    hidden: int = 64
    blocks: int = 2
    mixing: Mixing = "full"
    dropout: float = 0.0
    dequantise: Literal["variational", "fixed"] = "variational"
    half_infinite: bool = False
    noise_couplings: int = 4
    noise_blocks: int = 2
    noise_hidden: int = 32

    def validate(self) -> None:
        """Check that half-infinite noise is for pictures of two levels."""
        super().validate()
        self._at_least("noise_couplings", 0)
        if self.half_infinite and self.levels != 2:
            raise SpecError(
                f"expected pictures of 2 levels for {self.name}.half_infinite, got {self.levels}; leave half_infinite out"
            )

    def build(self) -> Flow:
        """Return the flow; couplings and priors start as constant maps."""
        return self.multi_scale(self.scales, self.steps, self._step, self._front())

    def features(self) -> nn.Module:
        """Return the residual network from the condition to the features that all layers see."""
        width = self.condition_channels
        return ResNet(self.condition[0], width, hidden=width, blocks=self.blocks, dropout=self.dropout, zero=False)

    def prior(self, space: Space) -> Transform:
        """Return the mean and the scale of the last latent variables, as functions of the condition at each position."""
        if isinstance(self.given, Space):
            return Elementwise(Affine(), space, context=self.given, network=one_convolution)
        return super().prior(space)

    def _front(self) -> list[Transform]:
        noise, to_line = None, Probit(Box(self.shape, 0.0, math.inf))
        if self.dequantise == "variational":
            self.require_divisible(2, "the checkerboards of the noise")
            given = self.given.shape[0] if isinstance(self.given, Space) else self.given
            noise = picture_noise(
                self.space,
                to_line if self.half_infinite else Logit(Box(self.shape, 0.0, 1.0)),
                hidden=self.noise_hidden,
                couplings=self.noise_couplings,
                blocks=self.noise_blocks,
                heads=1,
                given=given,
            )
        context = 0 if noise is None else self.given
        if self.half_infinite:
            return [HalfLines(self.space, noise, context=context)]
        return self.front(noise, context=context)

    def _step(self, space: Real, seed: int) -> list[Transform]:
        network = partial(ResNet, hidden=self.hidden, blocks=self.blocks, dropout=self.dropout)
        return [
            ActNorm(space, channels=True),
            mixing_layer(space, self.mixing, seed),
            Coupling(Sigmoidal(), space, half_mask(space.shape[0]), network, context=self.given),
        ]

    @classmethod
    def cases(cls) -> Iterator[ConditionalImage]:
        """Yield specs without a condition, with a label and with a picture, and with half-infinite noise of both kinds."""
        small: dict[str, Any] = {
            "scales": 1,
            "steps": 1,
            "hidden": 4,
            "blocks": 1,
            "noise_hidden": 4,
            "noise_blocks": 1,
        }
        small |= {"noise_couplings": 1}
        yield from law_cases(cls, **small)
        yield cls(shape=(1, 2, 2), levels=2, condition=(2, 1, 1), condition_channels=3, half_infinite=True, **small)
        yield cls(shape=(1, 2, 2), levels=2, dequantise="fixed", half_infinite=True, **small)
