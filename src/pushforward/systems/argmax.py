"""Argmax flows: labels as the places of the largest numbers, whose density is a continuous flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..core import Chain, Distribution, Flow, Real, Transform
from ..distributions import ConditionalNormal, Normal
from ..networks import MLP, MaskedMLP
from ..objectives.many_samples import ManySamples
from ..transforms import LU, Affine, ArgMax, Autoregressive, Coupling, RationalQuadratic, ToOneHot, random_mask
from .label_spec import LabelSpec


@dataclass(frozen=True, kw_only=True)
class ArgMaxFlow(LabelSpec):
    """Argmax flow: x_i = argmax_k z_ik, where z has the density of a continuous flow; the log-likelihood is bounded below.

    In training, z is drawn from q(z|x): normal noise given the labels, of which a softplus brings all numbers of a label but
    the chosen one below that one.

    Args:
        layers: Number of layers of the flow, each behind an LU layer.
        layer: Layer of the flow: a spline "coupling" of random halves, or an affine autoregressive layer "maf".
        hidden: Widths of the hidden layers in the networks of the layers.
        noise_hidden: Widths of the hidden layers in the network of the noise.
        bins: Number of bins of each spline.
        samples: Number of samples of the bound in training.
        importance: Whether the bound is importance-weighted in training.
    """

    name = "argmax"
    family = "labels"
    symbol = ">="
    objective = "evidence bound"
    paper = "Hoogeboom, Nielsen, Jaini, Forré, Welling 2021, arXiv:2102.05379"
    spread = 0.15  # with larger weights the bound is too loose to be averaged

    layers: int = 4
    layer: Literal["coupling", "maf"] = "coupling"
    hidden: tuple[int, ...] = (128, 128)
    noise_hidden: tuple[int, ...] = (64,)
    bins: int = 8
    samples: int = 1
    importance: bool = False

    def validate(self) -> None:
        """Check the numbers of bins and samples."""
        super().validate()
        self._at_least("bins", 2)
        self._at_least("samples", 1)

    def build(self) -> Flow:
        """Return the flow."""
        front = ToOneHot(self.space)
        space = Real((sum(self.classes),))
        noise = ConditionalNormal(space, front.codes.size, hidden=self.noise_hidden)
        layers: list[Transform] = [front, ArgMax(front.codes, noise)]
        for i in range(self.layers):
            layers += [LU(space), self._layer(space, i)]
        return Flow(Chain(*layers), Normal(space))

    def _layer(self, space: Real, i: int) -> Transform:
        size = space.size
        if self.layer == "maf":
            scalar = Affine()
            order = range(size)[:: -1 if i % 2 else 1]
            return Autoregressive(scalar, space, MaskedMLP(size, scalar.n, hidden=self.hidden, order=order))
        return Coupling(RationalQuadratic(self.bins), space, random_mask(size, i), partial(MLP, hidden=self.hidden))

    def loss(self, model: Distribution) -> ManySamples:
        """Return the bound with the settings of this spec."""
        return ManySamples(model, samples=self.samples, importance=self.importance)

    @classmethod
    def cases(cls) -> Iterator[ArgMaxFlow]:
        """Yield specs with both layers, and with unequal numbers of labels."""
        yield cls(classes=(2, 2), layers=1, hidden=(6,), noise_hidden=(4,), bins=3)
        yield cls(classes=(2, 1), layers=1, layer="maf", hidden=(6,), noise_hidden=(4,), samples=2, importance=True)
