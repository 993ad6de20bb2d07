"""Flows with stochastic local-winner-takes-all layers, in four designs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ..core import Distribution, Flow, Real, Transform
from ..distributions import Normal
from ..distributions.winner_kernel import WinnerKernel
from ..errors import SpecError
from ..networks import MLP
from ..objectives.enumeration import EnumeratedLikelihood, combinations
from ..objectives.many_samples import ManySamples
from ..transforms import (
    Affine,
    Augment,
    Coupling,
    Linear,
    Slice,
    WinnerCoupling,
    WinnerFold,
    WinnerGate,
    WinnerPath,
    half_mask,
)
from .vector_spec import VectorSpec

ENUMERATED = 256
"""Largest number of combinations of winners over which training sums, instead of sampling winners."""


@dataclass(frozen=True, kw_only=True)
class LWTA(VectorSpec):
    """Random normalizing flow whose layers have competing units with random local winners (LWTA).

    Args:
        design: Role of the winners: "coupling" (experts compete for each coordinate of a coupling; random in both directions, a
            bound), "fold" (a linear layer, of whose outputs each block keeps the largest and the gaps behind it; exact),
            "path" (random steps of competing units with learned reverse steps; a bound), or "gate" (deterministic winners given
            noise that is carried along; a bound).
        layers: Number of layers with winners. Two affine couplings follow each fold and each random step.
        units: Number U of competing units in each block.
        block: Number of coordinates that share a winner, in the designs "coupling", "path" and "gate".
        hidden: Widths of the hidden layers in each network.
        correction: Width of the network that corrects the local posterior of the winners in "coupling"; 0 for none.
        zeroed: Whether losers are set to zero in "path", as in the original layer; then U is the number of coordinates of a
            block.
        noise: Standard deviation of the noise of the random steps in "path" at the start.
        samples: Number of samples of the bound in training.
        importance: Whether the bound is importance-weighted in training.
    """

    name = "lwta"
    family = "beyond bijections"
    symbol = ">="
    objective = "evidence bound of several samples"
    paper = "Verine 2022, internship proposal; Panousis, Chatzis, Theodoridis 2019, arXiv:1805.07624"
    spread = 0.2  # with larger weights the bounds are too loose to be averaged

    design: Literal["coupling", "fold", "path", "gate"] = "coupling"
    layers: int = 6
    units: int = 4
    block: int = 1
    hidden: tuple[int, ...] = (64, 64)
    correction: int = 0
    zeroed: bool = False
    noise: float = 0.3
    samples: int = 4
    importance: bool = False
    activation: str = "silu"

    def validate(self) -> None:
        """Check the numbers of units and samples."""
        super().validate()
        self._at_least("units", 2)
        self._at_least("block", 1)
        self._at_least("correction", 0)
        self._at_least("samples", 2 if self.design in ("coupling", "path") else 1)
        if self.design == "fold" and self.units > self.features:
            raise SpecError(
                f"expected {self.name}.units <= {self.features} for the design 'fold', whose units are the coordinates, "
                f"got {self.units}"
            )
        if not 0 < self.noise < math.inf:
            raise SpecError(f"expected a finite {self.name}.noise > 0, got {self.noise}")
        if self.zeroed and (self.design != "path" or self.units != self.block):
            raise SpecError(
                f"expected {self.name}.zeroed with the design 'path' and as many units as coordinates of a block, "
                f"got the design {self.design!r}, {self.units} units and blocks of {self.block}"
            )
        most = self.features if self.design == "path" else max(1, self.features // 2)
        if self.design != "fold" and (self.block > most or (self.design == "path" and self.features % self.block)):
            divisor = f", a divisor of {self.features}" if self.design == "path" else ""
            raise SpecError(f"expected {self.name}.block <= {most}{divisor}, got {self.block}")

    def build(self) -> Flow:
        """Return the flow, whose units win about equally often at the start."""
        layers: list[Transform] = []
        if self.design == "gate":
            layers.append(Augment(self.space, Normal(Real((self.units,)))))
        for i in range(self.layers):
            layers += self._group(flip=i % 2 == 1)
        if self.design == "gate":
            layers.append(Slice(Real((self.features + self.units,)), self.features, Normal(Real((self.units,)))))
        return self.flow(layers)

    def _group(self, *, flip: bool) -> list[Transform]:
        """Return one layer with winners, and the affine couplings that follow it."""
        mask = half_mask(self.features, flip=flip)
        if self.design == "fold":
            return [*self._fold(flip=flip), *self._affine_pair()]
        if self.design == "path":
            return [self._path(), *self._affine_pair()]
        if self.design == "gate":
            return [WinnerGate(self.features, mask, self.units, self._network, block=self.block, context=self.given)]
        correction = partial(MLP, hidden=(self.correction,), activation=self.activation) if self.correction else None
        options = {"block": self.block, "context": self.given}
        return [WinnerCoupling(self.space, mask, self.units, self._network, correction, **options)]

    @property
    def _network(self) -> partial[MLP]:
        return partial(MLP, hidden=self.hidden, activation=self.activation)

    def _fold(self, *, flip: bool) -> list[Transform]:
        linear = Linear(self.space)
        linear.weight.data.copy_(cosines(self.features, self.units, flip=flip))
        fold = WinnerFold(self.space, self.units, self._network, context=self.given)
        return [linear, fold]

    def _path(self) -> WinnerPath:
        kernel = partial(
            WinnerKernel,
            self.space,
            self.features + self.given,
            self.units,
            block=self.block,
            hidden=self.hidden,
            scale=self.noise,
            activation=self.activation,
        )
        # The reverse step is never zeroed: it has to give the losers back.
        step, reverse = kernel(zeroed=self.zeroed), kernel()
        return WinnerPath(step, reverse, context=self.given)

    def _affine_pair(self) -> list[Transform]:
        masks = (half_mask(self.features, flip=flip) for flip in (False, True))
        return [Coupling(Affine(), self.space, mask, self._network, context=self.given) for mask in masks]

    def loss(self, model: Distribution) -> nn.Module | None:
        """Return the likelihood for the exact design, and otherwise the bound; few winners are summed over."""
        if self.design == "fold":
            return None
        count = combinations(model)
        if isinstance(model, Flow) and count is not None and count <= ENUMERATED:
            return EnumeratedLikelihood(model, most=ENUMERATED)
        return ManySamples(model, samples=self.samples, importance=self.importance)

    def exemptions(self) -> Mapping[str, str]:
        """Return why the gradient of a gate is no derivative, and why the mass of a bound on many numbers is not checked."""
        reasons = {}
        if self.design == "gate":
            reasons["gradient_of_parameters"] = "the gradient of an argmax is estimated straight through"
        if self.design != "fold" and self.features > 2:
            reasons["density_is_checked"] = (
                "no quadrature covers a bound on more than two numbers; other cases have two"
            )
        return reasons

    @classmethod
    def cases(cls) -> Iterator[LWTA]:
        """Yield specs of every design, without and with a context, and with blocks."""
        small = {"layers": 2, "units": 2, "hidden": (6,)}
        yield cls(features=2, **small)  # type: ignore[arg-type]
        yield cls(features=2, layers=2, units=4, hidden=(6,), context=2, correction=4)
        yield cls(features=4, layers=2, units=2, hidden=(6,), block=2, classes=2)
        yield cls(features=3, design="fold", layers=1, units=2, hidden=(6,))
        yield cls(features=3, design="fold", layers=1, units=3, hidden=(6,), context=2)
        yield cls(features=2, design="path", layers=1, units=2, hidden=(6,), context=2)
        yield cls(features=2, design="path", layers=1, units=2, block=2, hidden=(6,), zeroed=True, noise=1.0)
        yield cls(features=2, design="gate", **small, context=2)  # type: ignore[arg-type]


def cosines(size: int, units: int, *, flip: bool) -> Tensor:
    """Return an orthogonal matrix (D, D): the cosine transform of each block of U entries, with reversed columns if `flip`.

    The first responses of two units are (x_1 + x_2, x_1 - x_2) / sqrt 2, which tie where x_2 is zero.
    """
    n = torch.arange(units, dtype=torch.get_default_dtype())
    block = torch.cos(math.pi / units * (n[None] + 0.5) * n[:, None]).mT * math.sqrt(2 / units)
    block[:, 0] /= math.sqrt(2)
    count = size // units
    matrix = torch.block_diag(*[block] * count, *torch.ones(size - count * units, 1, 1))
    return matrix.flip(1) if flip else matrix
