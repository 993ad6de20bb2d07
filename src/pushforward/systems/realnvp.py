"""RealNVP: affine couplings of alternating halves; for pictures with checkerboards, channel masks and several scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..core import Flow, Real, Space, Transform
from ..networks import MLP, ResNet
from ..transforms import (
    ActNorm,
    Affine,
    BatchNorm,
    Coupling,
    Squeeze,
    alternating_mask,
    checkerboard_mask,
    half_mask,
    random_mask,
)
from ..transforms.masks import Mask
from .picture_spec import ImageSpec, Preprocess, factor_out, law_cases
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class RealNVP(VectorSpec):
    """RealNVP, real-valued non-volume-preserving flow: z_b = x_b exp(s(x_a)) + t(x_a), with alternating halves a and b.

    Args:
        layers: Number of coupling layers.
        hidden: Widths of the hidden layers in each conditioner network, which computes s and t.
        mask: Choice of the half that passes: "half", "alternating" or "random" (a new half for each pair of layers).
        batch_norm: Whether a running batch normalisation follows each coupling.
        dropout: Probability of dropping a hidden unit in training.
    """

    name = "realnvp"
    family = "coupling"
    paper = "Dinh, Sohl-Dickstein, Bengio 2017, arXiv:1605.08803"

    layers: int = 8
    hidden: tuple[int, ...] = (128, 128)
    mask: Literal["half", "alternating", "random"] = "half"
    batch_norm: bool = False
    dropout: float = 0.0

    def _mask(self, layer: int) -> list[bool]:
        flip = layer % 2 == 1
        if self.mask == "half":
            return half_mask(self.features, flip=flip)
        if self.mask == "alternating":
            return alternating_mask(self.features, flip=flip)
        mask = random_mask(self.features, seed=layer // 2)
        return [not keep for keep in mask] if flip and self.features > 1 else mask

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        space = self.space
        network = partial(MLP, hidden=self.hidden, activation=self.activation, dropout=self.dropout)
        layers: list[Transform] = []
        for i in range(self.layers):
            layers.append(Coupling(Affine(), space, self._mask(i), network, context=self.given))
            if self.batch_norm:
                layers.append(BatchNorm(space))
        return self.flow(layers)

    @classmethod
    def cases(cls) -> Iterator[RealNVP]:
        """Yield specs with two features, with a context, with every mask, with batch normalisation, and with one feature."""
        yield cls(features=2, layers=2, hidden=(8,))
        yield cls(features=2, layers=2, hidden=(8,), context=3)
        yield cls(features=2, layers=2, hidden=(8,), batch_norm=True)
        yield cls(features=5, layers=4, hidden=(8,), mask="random")
        yield cls(features=3, layers=2, hidden=(8,), mask="alternating")
        yield cls(features=1, layers=2, hidden=(8,), context=2)


@dataclass(frozen=True, kw_only=True)
class ImageRealNVP(ImageSpec):
    """Multi-scale RealNVP of pictures.

    Each scale but the last has three couplings with alternating checkerboards, a squeeze, and three couplings with alternating
    channel halves; then half of the channels are factored out as standard normal. The last scale has four checkerboard
    couplings.

    Args:
        scales: Number of scales; half of the channels are factored out between two scales.
        hidden: Number of hidden channels of the residual networks.
        blocks: Number of residual blocks of each network.
        norm: Layer after each coupling: "batch" (running batch normalisation of the channels), "act" (activation
            normalisation) or "none".
        dropout: Probability of dropping a hidden value of the networks in training.
    """

    name = "realnvp-image"
    family = "images"
    paper = RealNVP.paper
    presets = {
        "tiny": {"scales": 2, "hidden": 8, "blocks": 1},
        "small": {"scales": 2, "hidden": 32, "blocks": 2},
        "paper": {"scales": 4, "hidden": 64, "blocks": 8},
    }

    scales: int = 2
    hidden: int = 32
    blocks: int = 2
    norm: Literal["batch", "act", "none"] = "act"
    dropout: float = 0.0
    preprocess: Preprocess = "logit-one-sided"

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        self.require_divisible(2 ** (self.scales - 1), f"{self.scales} scales")
        layers = self.front()
        for _ in range(self.scales - 1):
            layers += self._couplings(layers[-1].z_space, 3, by_position=True)
            layers.append(Squeeze(layers[-1].z_space))
            layers += self._couplings(layers[-1].z_space, 3, by_position=False)
            layers.append(factor_out(layers[-1].z_space, self.given, learned=False))
        return self.flow([*layers, *self._couplings(layers[-1].z_space, 4, by_position=True)])

    def _couplings(self, shaped: Space, count: int, *, by_position: bool) -> list[Transform]:
        space = Real(shaped.shape)
        channels, height, width = space.shape
        network = partial(ResNet, hidden=self.hidden, blocks=self.blocks, dropout=self.dropout)
        layers: list[Transform] = []
        for i in range(count):
            flip = i % 2 == 1
            mask: Mask = half_mask(channels, flip=flip)
            if by_position:
                mask = checkerboard_mask(height, width, flip=flip)
            layers.append(Coupling(Affine(), space, mask, network, context=self.given))
            if self.norm != "none":
                layers.append((BatchNorm if self.norm == "batch" else ActNorm)(space, channels=True))
        return layers

    @classmethod
    def cases(cls) -> Iterator[ImageRealNVP]:
        """Yield specs with one scale, with a label, with a picture, and with two scales and batch normalisation."""
        yield from law_cases(cls, scales=1, hidden=4, blocks=1)
        yield cls(shape=(1, 4, 4), levels=3, alpha=0.0, scales=2, hidden=4, blocks=1, norm="batch", classes=2)
