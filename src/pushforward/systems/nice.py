"""NICE: additive couplings, a diagonal scaling and a logistic base; for vectors, and for pictures as vectors of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from ..core import Distribution, Flow
from ..networks import MLP
from ..transforms import Additive, Coupling, Diagonal, Reshape, alternating_mask
from .picture_spec import ImageSpec, law_cases
from .vector_spec import Base, VectorSpec


@dataclass(frozen=True, kw_only=True)
class NICE(VectorSpec):
    """NICE, non-linear independent components: h_b = x_b + m(x_a) several times, then z = exp(s) h, with logistic z.

    Args:
        layers: Number of couplings; even and odd coordinates alternate. With 3 or more, every coordinate depends on all.
        hidden: Widths of the hidden layers in each network.
        dropout: Probability of dropping a hidden unit in training.
    """

    name = "nice"
    family = "coupling"
    paper = "Dinh, Krueger, Bengio 2015, arXiv:1410.8516"

    layers: int = 4
    hidden: tuple[int, ...] = (256, 256)
    dropout: float = 0.0
    base: Base | Distribution = "logistic"

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        space = self.space
        network = partial(MLP, hidden=self.hidden, activation=self.activation, dropout=self.dropout)
        couplings = [
            Coupling(Additive(), space, alternating_mask(self.features, flip=i % 2 == 1), network, context=self.given)
            for i in range(self.layers)
        ]
        return self.flow([*couplings, Diagonal(space)])

    def exemptions(self) -> Mapping[str, str]:
        """Return the reason why the log-determinant is constant."""
        return {"contribution_varies": "additive couplings preserve volume, a constant scaling up to a constant"}

    @classmethod
    def cases(cls) -> Iterator[NICE]:
        """Yield specs with two features without and with a context, with three features, and with one."""
        yield cls(features=2, hidden=(8,))
        yield cls(features=2, hidden=(8,), context=3)
        yield cls(features=3, hidden=(8, 8))
        yield cls(features=1, hidden=(8,))


@dataclass(frozen=True, kw_only=True)
class ImageNICE(ImageSpec):
    """NICE on the pixels of pictures: dequantised and flattened, then as for vectors.

    Args:
        layers: Number of couplings; even and odd pixels alternate.
        hidden: Widths of the hidden layers in each coupling's network.
        dropout: Probability of dropping a hidden unit in training.
    """

    name = "nice-image"
    family = "images"
    paper = NICE.paper
    presets = {
        "tiny": {"hidden": (32,)},
        "small": {"hidden": (256, 256)},
        "paper": {"hidden": (1000,) * 5, "preprocess": "centre"},
    }

    layers: int = 4
    hidden: tuple[int, ...] = (256, 256)
    dropout: float = 0.0

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        front = self.front()
        size = self.space.size
        pixels = NICE(
            features=size, context=self.given_vector, layers=self.layers, hidden=self.hidden, dropout=self.dropout
        ).build()
        return self.flow([*front, Reshape(front[-1].z_space, (size,)), pixels.chain], pixels.base)

    @classmethod
    def cases(cls) -> Iterator[ImageNICE]:
        """Yield specs without a condition, with a label, and with a picture."""
        yield from law_cases(cls, hidden=(8,), layers=2)
