"""MAF: a stack of affine autoregressive layers, with the order reversed between layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Flow, Transform
from ..networks import MaskedMLP
from ..transforms import Affine, Autoregressive, BatchNorm
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class MAF(VectorSpec):
    """Masked autoregressive flow: z_i = x_i exp(s(x_<i)) + t(x_<i), with a MaskedMLP for s and t.

    Density and sampling both cost about one pass of the networks.

    Args:
        layers: Number of autoregressive layers.
        hidden: Widths of the hidden layers in each masked network.
        batch_norm: Whether a batch normalisation follows each layer but the last. It has running averages in training;
            `pushforward.training.measure_batch_norm` sets them to the moments of all training rows, as `pushforward fit` does.
        dropout: Probability of dropping a hidden unit in training.
    """

    name = "maf"
    family = "autoregressive"
    paper = "Papamakarios, Pavlakou, Murray 2017, arXiv:1705.07057"

    layers: int = 5
    hidden: tuple[int, ...] = (128, 128)
    batch_norm: bool = False
    dropout: float = 0.0

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        space, scalar = self.space, Affine()
        layers: list[Transform] = []
        for i in range(self.layers):
            made = MaskedMLP(
                self.features,
                scalar.n,
                hidden=self.hidden,
                context=self.given,
                order=range(self.features)[:: -1 if i % 2 else 1],
                activation=self.activation,
                dropout=self.dropout,
            )
            layers.append(Autoregressive(scalar, space, made, context=self.given))
            if self.batch_norm and i + 1 < self.layers:
                layers.append(BatchNorm(space))
        return self.flow(layers)

    @classmethod
    def cases(cls) -> Iterator[MAF]:
        """Yield specs with two features, a context, a label and a Student base, batch normalisation, and one feature."""
        yield cls(features=2, layers=2, hidden=(8,))
        yield cls(features=2, layers=2, hidden=(8,), context=3)
        yield cls(features=2, layers=1, hidden=8, classes=3, base="student", activation="tanh")  # type: ignore[arg-type]
        yield cls(features=11, layers=2, hidden=(24, 24), batch_norm=True)
        yield cls(features=1, layers=1, hidden=(8,), context=2)
