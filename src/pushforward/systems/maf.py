"""MAF: a stack of affine autoregressive layers, the order reversed between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Chain, Flow, Real, Transform
from ..distributions import Normal
from ..networks import MaskedMLP
from ..transforms import Affine, Autoregressive, BatchNorm
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class MAF(Spec):
    """Masked autoregressive flow: z_i = x_i exp(s(x_<i)) + t(x_<i), with a MaskedMLP for s and t.

    Density and sampling both cost about one pass of the networks.

    Args:
        features: D.
        context: length of the context, 0 for none.
        layers: autoregressive layers.
        hidden: widths of each MaskedMLP's hidden layers.
        batch_norm: whether a running batch normalisation follows each layer but the last.
        activation: of the networks.
        dropout: in the networks, while training.
    """

    name = "maf"
    family = "autoregressive"
    paper = "Papamakarios, Pavlakou, Murray 2017, arXiv:1705.07057"

    features: int
    context: int = 0
    layers: int = 5
    hidden: tuple[int, ...] = (128, 128)
    batch_norm: bool = False
    activation: str = "relu"
    dropout: float = 0.0

    def build(self) -> Flow:
        """The flow, starting as the identity."""
        space = Real((self.features,))
        scalar = Affine()
        layers: list[Transform] = []
        for i in range(self.layers):
            made = MaskedMLP(
                self.features,
                scalar.n,
                hidden=self.hidden,
                context=self.context,
                order=range(self.features)[:: -1 if i % 2 else 1],
                activation=self.activation,
                dropout=self.dropout,
            )
            layers.append(Autoregressive(scalar, space, made, context=self.context))
            if self.batch_norm and i + 1 < self.layers:
                layers.append(BatchNorm(space))
        return Flow(Chain(*layers), Normal(space))

    @classmethod
    def cases(cls) -> Iterator[MAF]:
        """Two features; with context; more features than a block, with batch normalisation; one feature."""
        yield cls(features=2, layers=2, hidden=(8,))
        yield cls(features=2, layers=2, hidden=(8,), context=3)
        yield cls(features=11, layers=2, hidden=(24, 24), batch_norm=True)
        yield cls(features=1, layers=1, hidden=(8,), context=2)
