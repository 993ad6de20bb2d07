"""BNAF: block neural autoregressive layers, with the order reversed between layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..core import Flow, Transform
from ..errors import SpecError
from ..transforms import BlockAutoregressive, Permutation
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class BNAF(VectorSpec):
    """Block neural autoregressive flow: each layer is one masked network z_i = a_i x_i + (1 - a_i) f_i(x_1, ..., x_i).

    The density costs one pass of each network. Sampling searches one root for each feature and layer.

    Args:
        layers: Number of block autoregressive layers.
        hidden: Units of each feature in the hidden layers of each network, at least one layer.
        activation: Activation function of the networks: "tanh", which increases and is bounded.
    """

    name = "bnaf"
    family = "autoregressive"
    paper = "De Cao, Titov, Aziz 2019, arXiv:1904.04676"

    layers: int = 3
    hidden: tuple[int, ...] = (16, 16)
    activation: Literal["tanh"] = "tanh"

    def validate(self) -> None:
        """Check the numbers of layers and units, besides the arguments of all systems of vectors."""
        super().validate()
        self._at_least("layers", 1)
        if not self.hidden or min(self.hidden) < 1:
            raise SpecError(f"expected {self.name}.hidden to have at least one width >= 1, got {self.hidden}")

    def build(self) -> Flow:
        """Return the flow."""
        layers: list[Transform] = []
        for i in range(self.layers):
            layers += [Permutation(self.space)] if i else []
            layers.append(BlockAutoregressive(self.space, hidden=self.hidden, context=self.given))
        return self.flow(layers)

    @classmethod
    def cases(cls) -> Iterator[BNAF]:
        """Yield specs with two features, and with a context and one feature."""
        yield cls(features=2, layers=2, hidden=(4,))
        yield cls(features=1, layers=1, hidden=(4, 4), context=2)
