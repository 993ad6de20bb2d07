"""Flow++: mixture-of-logistics couplings with attention, and dequantisation noise from a conditional flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ..core import Box, Flow, Inverse, Real, Space, Transform
from ..errors import SpecError
from ..networks import GatedAttention
from ..transforms import (
    LU,
    ActNorm,
    Affine,
    Checkerboard,
    Composed,
    Coupling,
    LogisticMixture,
    Logit,
    Scalar,
    Squeeze,
    half_mask,
)
from ..transforms.shape import image_shape
from .picture_noise import picture_noise
from .picture_spec import ImageSpec, law_cases


@dataclass(frozen=True, kw_only=True)
class FlowPP(ImageSpec):
    """Flow++: z_b = logit(MixLogCDF(x_b)) exp(a) + b, with parameters from gated convolutions and self-attention.

    The layers are couplings of checkerboard colours, a squeeze, couplings of channel halves, and couplings of colours
    again, each after a normalisation of every entry and a 1 x 1 convolution. The dequantisation noise u in [0, 1) comes
    from a conditional flow q(u | x), which is trained together with the model on the bound E_q[log p(x + u) - log q(u | x)].

    Args:
        first: Number of couplings of colours at full resolution.
        middle: Number of couplings of channels after the squeeze.
        last: Number of couplings of colours after these.
        hidden: Number of hidden channels of the networks.
        blocks: Number of blocks (gated convolution and attention) of each network.
        heads: Number of heads of the attention.
        components: Number of logistic components of each mixture.
        dropout: Probability of dropping a hidden value of the networks in training.
        dequantise: Dequantisation noise: "variational" (a conditional flow) or "uniform".
        noise_couplings: Number of affine couplings of colours in the flow of the noise.
        noise_blocks: Number of blocks of each network in the flow of the noise.
        noise_hidden: Number of hidden channels of the networks in the flow of the noise.
    """

    name = "flowpp"
    family = "images"
    paper = "Ho, Chen, Srinivas, Duan, Abbeel 2019, arXiv:1902.00275"
    presets = {
        "tiny": {
            "first": 2,
            "middle": 1,
            "last": 1,
            "hidden": 8,
            "blocks": 1,
            "heads": 2,
            "components": 4,
            "noise_hidden": 8,
        },
        "small": {"first": 2, "middle": 2, "last": 2, "hidden": 32, "blocks": 2, "components": 8, "noise_hidden": 32},
        "paper": {"dropout": 0.2},
    }

    first: int = 4
    middle: int = 2
    last: int = 3
    hidden: int = 96
    blocks: int = 10
    heads: int = 4
    components: int = 32
    dropout: float = 0.0
    dequantise: Literal["variational", "uniform"] = "variational"
    noise_couplings: int = 4
    noise_blocks: int = 2
    noise_hidden: int = 96

    def validate(self) -> None:
        """Check the numbers of couplings and components."""
        super().validate()
        for name, low in (("first", 0), ("middle", 0), ("last", 0), ("components", 1), ("noise_couplings", 0)):
            self._at_least(name, low)
        if self.first + self.middle + self.last == 0:
            raise SpecError("expected a coupling in flowpp.first, flowpp.middle or flowpp.last, got none")

    def build(self) -> Flow:
        """Return the flow; mixtures start close to the identity, and the noise as the logistic of a standard normal."""
        self.require_divisible(4 if self.last else 2, "a squeeze and checkerboards" if self.last else "a squeeze")
        scalar = Composed(LogisticMixture(self.components), Affine())
        noise = None
        if self.dequantise == "variational":
            to_line = Logit(Box(self.shape, 0.0, 1.0))
            sizes = {"hidden": self.noise_hidden, "couplings": self.noise_couplings, "blocks": self.noise_blocks}
            noise = picture_noise(self.space, to_line, heads=self.heads, **sizes)
        layers = self.front(noise)
        layers += self._colours(layers[-1].z_space, self.first, scalar)
        layers.append(Squeeze(layers[-1].z_space))
        space = Real(layers[-1].z_space.shape)
        for i in range(self.middle):
            layers += [*_mixed(space), self._coupling(space, scalar, flip=i % 2 == 1)]
        layers += self._colours(space, self.last, scalar)
        return self.flow(layers)

    def _coupling(self, space: Real, scalar: Scalar, *, flip: bool) -> Coupling:
        network = partial(
            GatedAttention,
            size=image_shape(space)[1:],
            hidden=self.hidden,
            blocks=self.blocks,
            heads=self.heads,
            dropout=self.dropout,
        )
        return Coupling(scalar, space, half_mask(space.shape[0], flip=flip), network, context=self.given)

    def _colours(self, shaped: Space, count: int, scalar: Scalar) -> list[Transform]:
        space = Real(shaped.shape)
        layers: list[Transform] = []
        for i in range(count):
            board = Checkerboard(space)
            halves = Real(board.z_space.shape)
            layers += [
                *_mixed(space),
                board,
                self._coupling(halves, scalar, flip=i % 2 == 1),
                Inverse(Checkerboard(space)),
            ]
        return layers

    @classmethod
    def cases(cls) -> Iterator[FlowPP]:
        """Yield specs without a condition, with a label, with a picture, and with uniform noise and couplings of both kinds."""
        small: dict[str, Any] = {"first": 1, "middle": 1, "last": 0, "hidden": 4, "blocks": 1, "heads": 2}
        small |= {"components": 2, "noise_couplings": 1, "noise_blocks": 1, "noise_hidden": 4}
        yield from law_cases(cls, **small)
        yield cls(shape=(1, 4, 4), levels=3, alpha=0.0, dequantise="uniform", **{**small, "last": 1})


def _mixed(space: Real) -> list[Transform]:
    """Return a normalisation of every entry and, if there are several channels, a 1 x 1 convolution."""
    return [ActNorm(space), LU(space, rotation=True)] if space.shape[0] > 1 else [ActNorm(space)]
