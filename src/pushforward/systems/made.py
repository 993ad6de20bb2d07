"""MADE with Gaussian conditionals: one affine autoregressive layer on a normal base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Flow
from ..networks import MaskedMLP
from ..transforms import Affine, Autoregressive
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class MADE(VectorSpec):
    """Masked autoencoder for densities: p(x) = prod_i N(x_i; m_i(x_<i), s_i(x_<i)^2).

    The product of Gaussians is a flow with one layer, z_i = (x_i - m_i) / s_i.

    Args:
        hidden: Widths of the hidden layers in the network.
        order: Rank of each feature; empty for 0, 1, ..., D - 1.
        dropout: Probability of dropping a hidden unit in training.
    """

    name = "made"
    family = "autoregressive"
    paper = "Germain, Gregor, Murray, Larochelle 2015, arXiv:1502.03509"

    hidden: tuple[int, ...] = (128, 128)
    order: tuple[int, ...] = ()
    dropout: float = 0.0

    def build(self) -> Flow:
        """Return the flow, which starts as the identity."""
        space, scalar = self.space, Affine()
        network = MaskedMLP(
            self.features,
            scalar.n,
            hidden=self.hidden,
            context=self.given,
            order=self.order or None,
            activation=self.activation,
            dropout=self.dropout,
        )
        return self.flow(Autoregressive(scalar, space, network, context=self.given))

    @classmethod
    def cases(cls) -> Iterator[MADE]:
        """Yield specs with two features, and with three features in another order and a context."""
        yield cls(features=2, hidden=(8,))
        yield cls(features=3, hidden=(8, 8), context=2, order=(2, 0, 1))
