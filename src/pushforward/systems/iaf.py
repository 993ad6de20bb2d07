"""IAF: gated autoregressive steps whose closed form runs from the latent side to the data side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core import Real
from ..networks import MaskedMLP
from ..transforms import Autoregressive, GatedAffine
from .posterior import Posterior


@dataclass(frozen=True, kw_only=True)
class IAF(Posterior):
    """Inverse autoregressive flow: z_0 = m_0 + s_0 e, then z_t = g z + (1 - g) m, with g and m from z_<i and the context.

    The order of the coordinates is reversed at each step, and x is the last z. Gates g lie in (0, 1) and can only
    shrink, so the first, diagonal step sets the scale. Gates start at 0.88.

    Sampling with density is one pass, as variational inference needs. The density of given data unrolls each network, at
    about the same cost, so the flow can also be trained on data.

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
        """Return an autoregressive step, in the order opposite to that of the step before."""
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
        """Yield specs with two features, with a context, and with more features than a block of the unrolling."""
        yield cls(features=2, layers=2, hidden=(8,))
        yield cls(features=2, layers=2, hidden=(8,), context=3)
        yield cls(features=10, layers=1, hidden=(16,))
