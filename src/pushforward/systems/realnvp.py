"""RealNVP: affine couplings with alternating halves, batch normalisation between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..core import Chain, Flow, Real, Spec, Transform
from ..distributions import Normal
from ..networks import MLP
from ..transforms import Affine, BatchNorm, Coupling, alternating_mask, half_mask, random_mask


@dataclass(frozen=True, kw_only=True)
class RealNVP(Spec):
    """Real-valued non-volume-preserving flow: z_b = x_b exp(s(x_a)) + t(x_a), the halves take turns.

    Args:
        features: D.
        context: length of the context, 0 for none.
        layers: couplings.
        hidden: widths of each coupling's network, which gives s and t.
        mask: how the coordinates are halved: "half", "alternating" or "random" (a new half for each pair of layers).
        batch_norm: whether a running batch normalisation follows each coupling.
        activation: of the networks.
        dropout: in the networks, while training.
    """

    name = "realnvp"
    family = "coupling"
    paper = "Dinh, Sohl-Dickstein, Bengio 2017, arXiv:1605.08803"

    features: int
    context: int = 0
    layers: int = 8
    hidden: tuple[int, ...] = (128, 128)
    mask: Literal["half", "alternating", "random"] = "half"
    batch_norm: bool = False
    activation: str = "relu"
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
        """The flow, starting as the identity."""
        space = Real((self.features,))
        network = partial(MLP, hidden=self.hidden, activation=self.activation, dropout=self.dropout)
        layers: list[Transform] = []
        for i in range(self.layers):
            layers.append(Coupling(Affine(), space, self._mask(i), network, context=self.context))
            if self.batch_norm:
                layers.append(BatchNorm(space))
        return Flow(Chain(*layers), Normal(space))

    @classmethod
    def cases(cls) -> Iterator[RealNVP]:
        """Two features; with context; every mask; batch normalisation; one feature."""
        yield cls(features=2, layers=2, hidden=(8,))
        yield cls(features=2, layers=2, hidden=(8,), context=3)
        yield cls(features=2, layers=2, hidden=(8,), batch_norm=True)
        yield cls(features=5, layers=4, hidden=(8,), mask="random")
        yield cls(features=3, layers=2, hidden=(8,), mask="alternating")
        yield cls(features=1, layers=2, hidden=(8,), context=2)
