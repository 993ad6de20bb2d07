"""RAD: piecewise invertible maps with gated probabilities of the pieces; real variables and discrete codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..core import Flow, Transform
from ..errors import SpecError
from ..networks import MLP
from ..transforms import Coupling, RationalQuadratic, Zigzag, half_mask
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class RAD(VectorSpec):
    """Real and discrete flow: zigzags that map K pieces of each coordinate on one another, and spline couplings.

    The likelihood is exact. The pieces of a row are its discrete code, the first codes of `evaluation.encode`.

    Args:
        layers: Number of zigzags, each followed by two couplings.
        pieces: Number K of pieces of each coordinate, odd and at least 3.
        hidden: Widths of the hidden layers in the networks of couplings and of pieces.
        bins: Number of bins of each spline.
    """

    name = "rad"
    family = "beyond bijections"
    paper = "Dinh, Sohl-Dickstein, Larochelle, Pascanu 2019, arXiv:1903.07714"

    layers: int = 1
    pieces: int = 3
    hidden: tuple[int, ...] = (64, 64)
    bins: int = 8
    activation: str = "silu"

    def validate(self) -> None:
        """Check the numbers of pieces and bins."""
        super().validate()
        self._at_least("bins", 2)
        if self.pieces < 3 or self.pieces % 2 == 0:
            raise SpecError(f"expected an odd number {self.name}.pieces >= 3, got {self.pieces}")

    def build(self) -> Flow:
        """Return the flow."""
        network = partial(MLP, hidden=self.hidden, activation=self.activation)
        layers: list[Transform] = []
        for _ in range(self.layers):
            layers.append(Zigzag(self.space, self.pieces, network, context=self.given))
            for flip in (False, True):
                mask = half_mask(self.features, flip=flip)
                layers.append(Coupling(RationalQuadratic(self.bins), self.space, mask, network, context=self.given))
        return self.flow(layers)

    @classmethod
    def cases(cls) -> Iterator[RAD]:
        """Yield specs with two features, with a context and five pieces, and with one feature."""
        yield cls(features=2, hidden=(6,), bins=3)
        yield cls(features=2, hidden=(6,), bins=3, pieces=5, context=2)
        yield cls(features=1, layers=2, hidden=(6,), bins=3, classes=2)
