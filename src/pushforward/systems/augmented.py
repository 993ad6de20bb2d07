"""Augmented flow: couplings between the data and random coordinates that are appended to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..core import Distribution, Flow, Real, Transform
from ..distributions import ConditionalNormal, Normal
from ..networks import MLP
from ..objectives.many_samples import ManySamples
from ..transforms import Affine, Augment, Coupling, Slice
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class AugmentedFlow(VectorSpec):
    """Augmented normalizing flow: x and noise u ~ q(u|x) map each other in turn by affine couplings.

    Args:
        extra: Number of noise coordinates.
        layers: Number of couplings; the first maps u given x.
        hidden: Widths of the hidden layers in each network.
        samples: Number of samples of the bound in training.
        importance: Whether the bound is importance-weighted in training.
    """

    name = "augmented"
    family = "beyond bijections"
    symbol = ">="
    objective = "evidence bound"
    paper = "Huang, Dinh, Courville 2020, arXiv:2002.07101"
    spread = 0.3  # with larger weights the bounds are too loose to be averaged

    extra: int = 2
    layers: int = 6
    hidden: tuple[int, ...] = (64, 64)
    samples: int = 1
    importance: bool = False
    activation: str = "silu"

    def validate(self) -> None:
        """Check the numbers of noise coordinates and samples."""
        super().validate()
        self._at_least("extra", 1)
        self._at_least("samples", 1)

    def build(self) -> Flow:
        """Return the flow."""
        noise, both = Real((self.extra,)), Real((self.features + self.extra,))
        network = partial(MLP, hidden=self.hidden, activation=self.activation)
        posterior = ConditionalNormal(
            noise, self.features, net=MLP(self.features, 2 * self.extra, hidden=self.hidden, activation=self.activation)
        )
        layers: list[Transform] = [Augment(self.space, posterior)]
        for i in range(self.layers):
            mask = [(j < self.features) == (i % 2 == 0) for j in range(both.size)]
            layers.append(Coupling(Affine(), both, mask, network, context=self.given))
        return self.flow([*layers, Slice(both, self.features, Normal(noise))])

    def loss(self, model: Distribution) -> ManySamples:
        """Return the bound with the settings of this spec."""
        return ManySamples(model, samples=self.samples, importance=self.importance)

    @classmethod
    def cases(cls) -> Iterator[AugmentedFlow]:
        """Yield specs with one noise coordinate, and with a context."""
        yield cls(features=1, extra=1, layers=2, hidden=(6,))
        yield cls(features=2, extra=1, layers=2, hidden=(6,), context=2)
