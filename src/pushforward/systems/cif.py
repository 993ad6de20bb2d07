"""Continuously indexed flows: bijections behind shifts and scales that depend on random indices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..core import Distribution, Flow, Real, Transform
from ..distributions import ConditionalNormal
from ..errors import SpecError
from ..networks import MLP, LipschitzMLP, MaskedMLP
from ..objectives.many_samples import ManySamples
from ..transforms import Affine, Autoregressive, ContinuousIndex, Coupling, Residual, half_mask
from .vector_spec import VectorSpec

APART = 4.0
"""Factor on the last weights of the network of t(u), so that indices differ from the start and are not ignored."""


@dataclass(frozen=True, kw_only=True)
class CIF(VectorSpec):
    """Continuously indexed flow: z = f(exp(-s(u)) x - t(u)) with a random index u in every layer.

    Args:
        layers: Number of layers, each with its own index.
        layer: Bijection f of a layer: an affine "coupling" (alternating halves), an affine autoregressive layer "maf"
            (alternating orders), or a "residual" block.
        index: Length of u.
        hidden: Widths of the hidden layers in the networks of the bijections.
        index_hidden: Widths of the hidden layers in the networks of p(u|z), q(u|x), s(u) and t(u).
        lipschitz: Upper bound of the Lipschitz constant of a residual block, in (0, 1).
        samples: Number of samples of the bound in training.
        importance: Whether the bound is importance-weighted in training.
    """

    name = "cif"
    family = "beyond bijections"
    symbol = ">="
    objective = "evidence bound"
    paper = "Cornish, Caterini, Deligiannidis, Doucet 2020, arXiv:1909.13833"
    spread = 0.15  # with larger weights the bounds are too loose to be averaged

    layers: int = 5
    layer: Literal["coupling", "maf", "residual"] = "coupling"
    index: int = 2
    hidden: tuple[int, ...] = (64, 64)
    index_hidden: tuple[int, ...] = (10, 10)
    lipschitz: float = 0.9
    samples: int = 1
    importance: bool = False
    activation: str = "silu"

    def validate(self) -> None:
        """Check the length of the index, the number of samples and the Lipschitz constant."""
        super().validate()
        self._at_least("index", 1)
        self._at_least("samples", 1)
        if not 0 < self.lipschitz < 1:
            raise SpecError(f"expected {self.name}.lipschitz in (0, 1), got {self.lipschitz}")

    def build(self) -> Flow:
        """Return the flow."""
        return self.flow([self._indexed(self._bijection(i)) for i in range(self.layers)])

    def _indexed(self, layer: Transform) -> ContinuousIndex:
        space, length = Real((self.index,)), self.features + self.given
        prior, posterior = (
            ConditionalNormal(
                space,
                length,
                net=MLP(length, 2 * self.index, hidden=self.index_hidden, activation=self.activation, zero=zero),
            )
            for zero in (True, False)
        )
        affine = MLP(self.index, 2 * self.features, hidden=self.index_hidden, activation=self.activation, zero=False)
        affine.out.weight.data[self.features :].mul_(APART)
        return ContinuousIndex(layer, prior, posterior, affine, context=self.given)

    def _bijection(self, i: int) -> Transform:
        space, scalar = self.space, Affine()
        if self.layer == "residual":
            net = LipschitzMLP(self.features, hidden=self.hidden, coefficient=self.lipschitz, context=self.given)
            return Residual(net, space, lipschitz=self.lipschitz, logdet="exact", context=self.given)
        if self.layer == "maf":
            made = MaskedMLP(
                self.features,
                scalar.n,
                hidden=self.hidden,
                context=self.given,
                order=range(self.features)[:: -1 if i % 2 else 1],
                activation=self.activation,
            )
            return Autoregressive(scalar, space, made, context=self.given)
        network = partial(MLP, hidden=self.hidden, activation=self.activation)
        return Coupling(scalar, space, half_mask(self.features, flip=i % 2 == 1), network, context=self.given)

    def loss(self, model: Distribution) -> ManySamples:
        """Return the bound with the settings of this spec."""
        return ManySamples(model, samples=self.samples, importance=self.importance)

    @classmethod
    def cases(cls) -> Iterator[CIF]:
        """Yield specs with each kind of bijection, and with a context."""
        small = {"hidden": (6,), "index_hidden": (6,), "index": 1}
        yield cls(features=2, layers=2, **small)  # type: ignore[arg-type]
        yield cls(features=2, layers=1, layer="maf", context=2, samples=4, **small)  # type: ignore[arg-type]
        yield cls(features=2, layers=1, layer="residual", **small)  # type: ignore[arg-type]
        yield cls(features=1, layers=1, classes=2, **small)  # type: ignore[arg-type]
