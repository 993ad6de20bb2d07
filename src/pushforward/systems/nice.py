"""NICE: additive couplings, a diagonal scaling and a logistic prior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..core import Chain, Flow, Real, Spec
from ..distributions import Logistic
from ..networks import MLP
from ..transforms import Additive, Coupling, Diagonal, alternating_mask


@dataclass(frozen=True, kw_only=True)
class NICE(Spec):
    """Non-linear independent components: h_b = x_b + m(x_a) four times, then h = exp(s) h, every h logistic.

    Args:
        features: D.
        context: length of the context, 0 for none.
        layers: couplings; even and odd coordinates take turns. At least 3 let all coordinates see each other.
        hidden: widths of each coupling's network.
    """

    name = "nice"
    family = "coupling"
    paper = "Dinh, Krueger, Bengio 2015, arXiv:1410.8516"

    features: int
    context: int = 0
    layers: int = 4
    hidden: tuple[int, ...] = (256, 256)

    def build(self) -> Flow:
        """The flow, starting as the identity."""
        space = Real((self.features,))
        network = partial(MLP, hidden=self.hidden)
        couplings = [
            Coupling(Additive(), space, alternating_mask(self.features, flip=i % 2 == 1), network, context=self.context)
            for i in range(self.layers)
        ]
        return Flow(Chain(*couplings, Diagonal(space)), Logistic(space))

    @classmethod
    def cases(cls) -> Iterator[NICE]:
        """Two features, with and without context; three; one."""
        yield cls(features=2, hidden=(8,))
        yield cls(features=2, hidden=(8,), context=3)
        yield cls(features=3, hidden=(8, 8))
        yield cls(features=1, hidden=(8,))
