"""NICE: additive couplings, a diagonal scaling and a logistic prior; for vectors, and for images as vectors of pixels."""

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
    """Non-linear independent components: h_b = x_b + m(x_a) four times, then h = exp(s) h, every h logistic.

    Args:
        layers: Number of couplings; even and odd coordinates take turns. With 3 or more all coordinates see each other.
        hidden: Widths of the hidden layers in each network.
        dropout: Share of hidden units that are dropped in training.
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
        """Return why the contribution need not vary."""
        return {"contribution_varies": "additive couplings preserve volume, a constant scaling up to a constant"}

    @classmethod
    def cases(cls) -> Iterator[NICE]:
        """Yield two features, with and without context; three; one."""
        yield cls(features=2, hidden=(8,))
        yield cls(features=2, hidden=(8,), context=3)
        yield cls(features=3, hidden=(8, 8))
        yield cls(features=1, hidden=(8,))


@dataclass(frozen=True, kw_only=True)
class ImageNICE(ImageSpec):
    """NICE on the pixels of pictures: dequantised, flattened, and then as for vectors.

    Args:
        layers: Couplings; even and odd pixels take turns.
        hidden: Widths of each coupling's network.
        dropout: In the networks, while training.
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
        """Return the flow, starting as the identity."""
        front = self.front()
        size = self.space.size
        pixels = NICE(
            features=size, context=self.given_vector, layers=self.layers, hidden=self.hidden, dropout=self.dropout
        ).build()
        return self.flow([*front, Reshape(front[-1].z_space, (size,)), pixels.chain], pixels.base)

    @classmethod
    def cases(cls) -> Iterator[ImageNICE]:
        """Without a condition; with a label; with a picture."""
        yield from law_cases(cls, hidden=(8,), layers=2)
