"""NAF: neural autoregressive flow, whose scalar maps are small monotone networks of sigmoids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..transforms import DeepSigmoidal
from .scalar_map_spec import ScalarMapSpec


@dataclass(frozen=True, kw_only=True)
class NAF(ScalarMapSpec):
    """Neural autoregressive flow: each number passes a monotone network of sigmoids, whose weights another network computes.

        z_i = f(x_i; net_i(x_<i)),    f = layers of logit sum_k w_k sigmoid(a_k h + b_k)

    Args:
        map: Kind of the small networks: "sigmoidal" (one number passes from layer to layer, DSF), or "dense" (`sigmoids`
            numbers pass, DDSF).
        sigmoids: Number of sigmoids in each layer of the small networks.
        depth: Number of layers of each small network.
    """

    name = "naf"
    family = "neural maps"
    paper = "Huang, Krueger, Lacoste, Courville 2018, arXiv:1804.00779"

    map: Literal["sigmoidal", "dense"] = "sigmoidal"
    sigmoids: int = 8
    depth: int = 2

    def validate(self) -> None:
        """Check the sizes of the networks."""
        super().validate()
        self._at_least("sigmoids", 1)
        self._at_least("depth", 1)

    @property
    def scalar_map(self) -> DeepSigmoidal:
        """Monotone network of each coordinate."""
        return DeepSigmoidal(self.sigmoids, self.depth, dense=self.map == "dense")

    @classmethod
    def cases(cls) -> Iterator[NAF]:
        """Yield an autoregressive spec, and a coupling spec with dense maps and a context."""
        yield cls(features=2, layers=1, hidden=8, sigmoids=3, depth=2)
        yield cls(features=2, layers=1, hidden=8, sigmoids=3, structure="coupling", map="dense", context=2)
