"""MADE with Gaussian conditionals: one affine autoregressive layer on a normal base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Flow, Real
from ..distributions import Normal
from ..networks import MaskedMLP
from ..transforms import Affine, Autoregressive
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class MADE(Spec):
    """Masked autoencoder for densities: p(x) = prod_i N(x_i; m_i(x_<i), s_i(x_<i)^2).

    That product of Gaussians is exactly a flow of one layer, z_i = (x_i - m_i) / s_i.

    Args:
        features: D.
        context: length of the context, 0 for none.
        hidden: widths of the hidden layers.
        order: rank of each feature; empty for 0, 1, ..., D - 1.
        activation: of the network.
        dropout: in the network, while training.
    """

    name = "made"
    family = "autoregressive"
    paper = "Germain, Gregor, Murray, Larochelle 2015, arXiv:1502.03509"

    features: int
    context: int = 0
    hidden: tuple[int, ...] = (128, 128)
    order: tuple[int, ...] = ()
    activation: str = "relu"
    dropout: float = 0.0

    def build(self) -> Flow:
        """The flow, starting as the identity."""
        space, scalar = Real((self.features,)), Affine()
        network = MaskedMLP(
            self.features,
            scalar.n,
            hidden=self.hidden,
            context=self.context,
            order=self.order or None,
            activation=self.activation,
            dropout=self.dropout,
        )
        return Flow(Autoregressive(scalar, space, network, context=self.context), Normal(space))

    @classmethod
    def cases(cls) -> Iterator[MADE]:
        """Two features; three in another order with context."""
        yield cls(features=2, hidden=(8,))
        yield cls(features=3, hidden=(8, 8), context=2, order=(2, 0, 1))
