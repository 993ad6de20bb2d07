"""Flows behind a surjection for data with a symmetry: exchangeable or mirrored entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from ..core import Box, Flow, Transform
from ..errors import SpecError
from ..networks import MLP
from ..transforms import (
    LU,
    AbsoluteValue,
    Coupling,
    Probit,
    RationalQuadratic,
    Sort,
    WinnerFold,
    half_mask,
)
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class SurVAE(VectorSpec):
    """Spline couplings behind a surjection that removes a symmetry of the data; the likelihood is exact.

    Args:
        surjection: Symmetry of the data: "sort" (all orders of the entries have the same density), "absolute" (all signs of the
            entries have the same density), "maximum" (no symmetry: the largest entry and the gaps behind it, with a learned
            probability of the winner), or "none".
        layers: Number of couplings.
        hidden: Widths of the hidden layers in each network.
        bins: Number of bins of each spline.
    """

    name = "survae"
    family = "beyond bijections"
    paper = "Nielsen, Jaini, Hoogeboom, Winther, Welling 2020, arXiv:2007.02731"

    surjection: Literal["sort", "absolute", "maximum", "none"] = "absolute"
    layers: int = 4
    hidden: tuple[int, ...] = (64, 64)
    bins: int = 8
    activation: str = "silu"

    def validate(self) -> None:
        """Check that the surjection fits the number of features."""
        super().validate()
        self._at_least("bins", 2)
        if self.surjection in ("sort", "maximum") and self.features < 2:
            raise SpecError(f"expected {self.name}.features >= 2 for {self.surjection!r}, got {self.features}")

    def build(self) -> Flow:
        """Return the flow."""
        space, network = self.space, partial(MLP, hidden=self.hidden, activation=self.activation)
        layers: list[Transform] = []
        if self.surjection == "sort":
            layers.append(Sort(space))
        if self.surjection == "maximum":
            layers.append(WinnerFold(space, self.features, network, context=self.given))
        if self.surjection == "absolute":
            layers.append(AbsoluteValue(space, None))
            layers.append(Probit(cast(Box, layers[0].z_space)))
        for i in range(self.layers):
            mask = half_mask(self.features, flip=i % 2 == 1)
            layers.append(Coupling(RationalQuadratic(self.bins), space, mask, network, context=self.given))
        return self.flow([*layers, LU(space)])

    @classmethod
    def cases(cls) -> Iterator[SurVAE]:
        """Yield specs with each surjection, and with a context."""
        small = {"layers": 2, "hidden": (6,), "bins": 3}
        yield cls(features=3, **small)  # type: ignore[arg-type]
        yield cls(features=3, surjection="sort", **small)  # type: ignore[arg-type]
        yield cls(features=3, surjection="maximum", context=2, **small)  # type: ignore[arg-type]
        yield cls(features=2, surjection="none", classes=2, **small)  # type: ignore[arg-type]
