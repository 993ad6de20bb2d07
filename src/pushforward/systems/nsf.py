"""NSF: neural spline flow, with couplings or autoregressive, and a linear layer between steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ..core import Chain, Flow, Real, Spec, Transform
from ..distributions import Normal
from ..errors import SpecError
from ..networks import MADE, MLP
from ..transforms import LU, Autoregressive, Coupling, RationalQuadratic, half_mask


@dataclass(frozen=True, kw_only=True)
class NSF(Spec):
    """Neural spline flow: rational-quadratic splines with parameters from a residual network, and LU layers.

    Args:
        features: D.
        context: length of the context, 0 for none.
        structure: "autoregressive" or "coupling".
        layers: steps of a spline layer and, before it, an LU layer.
        hidden: width of the residual networks.
        blocks: residual blocks of two layers each.
        bins: of the splines.
        bound: the splines act on [-bound, bound] and are the identity outside; standardised data fit 5.
        linear: whether each step starts with an LU layer.
        dropout: in the networks, while training.
    """

    name = "nsf"
    family = "spline"
    paper = "Durkan, Bekasov, Murray, Papamakarios 2019, arXiv:1906.04032"

    features: int
    context: int = 0
    structure: Literal["autoregressive", "coupling"] = "autoregressive"
    layers: int = 4
    hidden: int = 64
    blocks: int = 1
    bins: int = 8
    bound: float = 5.0
    linear: bool = True
    dropout: float = 0.0

    def validate(self) -> None:
        """Refuse networks without units and negative numbers of blocks."""
        super().validate()
        self._at_least("hidden", 1)
        self._at_least("blocks", 0)
        self._at_least("bins", 2)
        if not 0 <= self.dropout < 1:
            raise SpecError(f"expected nsf.dropout in [0, 1), got {self.dropout}")

    def build(self) -> Flow:
        """The flow, starting as the identity."""
        space = Real((self.features,))
        scalar = RationalQuadratic(self.bins, self.bound)
        network: dict[str, Any] = {
            "hidden": (self.hidden,) * (1 + 2 * self.blocks),
            "residual": True,
            "dropout": self.dropout,
        }
        layers: list[Transform] = []
        for i in range(self.layers):
            if self.linear and self.features > 1:
                layers.append(LU(space))
            if self.structure == "coupling":
                mask = half_mask(self.features, flip=i % 2 == 1)
                layers.append(Coupling(scalar, space, mask, partial(MLP, **network), context=self.context))
            else:
                order = range(self.features)[:: -1 if i % 2 else 1]
                made = MADE(self.features, scalar.n, context=self.context, order=order, **network)
                layers.append(Autoregressive(scalar, space, made, context=self.context))
        return Flow(Chain(*layers), Normal(space))

    @classmethod
    def cases(cls) -> Iterator[NSF]:
        """Both structures, with and without context; more features than a block; one feature."""
        yield cls(features=2, layers=2, hidden=8, bins=4)
        yield cls(features=2, layers=2, hidden=8, bins=4, structure="coupling")
        yield cls(features=2, layers=2, hidden=8, bins=4, context=3)
        yield cls(features=3, layers=2, hidden=8, bins=3, structure="coupling", context=2)
        yield cls(features=10, layers=1, hidden=20, blocks=2, bins=3, bound=3.0)
        yield cls(features=1, layers=1, hidden=8, bins=4)
