"""IAF: gated autoregressive steps that run from the latent side to the data side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Real
from ..networks import MaskedMLP
from ..transforms import Autoregressive, GatedAffine
from .posterior import Posterior


@dataclass(frozen=True, kw_only=True)
class IAF(Posterior):
    """Inverse autoregressive flow: z_0 = m_0 + s_0 e, then z_t = g z + (1 - g) m, gate and mean made from z_<i and context.

    The order is reversed each step, and x is the last z. Gates only shrink; the first, diagonal step sets the scale. They
    start at 0.88.

    Drawing with density is one pass, as a variational posterior needs; the density of given data unrolls each network,
    at about the same cost, so that the flow can be trained on data too.

    Args:
        layers: Number of autoregressive steps after the diagonal one.
        hidden: Widths of the hidden layers in each masked network.
    """

    name = "iaf"
    family = "autoregressive"
    paper = "Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling 2016, arXiv:1606.04934"

    layers: int = 4
    hidden: tuple[int, ...] = (128, 128)
    activation: str = "elu"

    def step(self, index: int, space: Real) -> Autoregressive:
        """Return one MaskedMLP, in the order opposite to the one before."""
        scalar = GatedAffine()
        network = MaskedMLP(
            self.features,
            scalar.n,
            hidden=self.hidden,
            context=self.given,
            order=range(self.features)[:: -1 if index % 2 else 1],
            activation=self.activation,
        )
        return Autoregressive(scalar, space, network, context=self.given)

    @classmethod
    def cases(cls) -> Iterator[IAF]:
        """Yield two features; with context; more features than a block."""
        yield cls(features=2, layers=2, hidden=(8,))
        yield cls(features=2, layers=2, hidden=(8,), context=3)
        yield cls(features=10, layers=1, hidden=(16,))
