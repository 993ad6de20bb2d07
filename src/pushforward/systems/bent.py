"""Flows of bijections of the line in closed form: cubic-rational, sinh, sinh-arcsinh, Johnson's and Yeo-Johnson maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..transforms import BentLine
from ..transforms.bent_maps import Bend
from .scalar_map_spec import ScalarMapSpec


@dataclass(frozen=True, kw_only=True)
class BentFlow(ScalarMapSpec):
    """Flow of smooth bijections of the line with three or four parameters and a closed inverse.

        z_i = m + exp(-s) f(exp(s) (x_i - m); shape),    (m, s, shape) = net_i(x_<i)

    Args:
        map: Function f: "cubic-rational", "sinh", "sinh-arcsinh", "johnson-su", "yeo-johnson" or "leaky".
    """

    name = "bent"
    family = "closed inverses"
    paper = "arXiv:2601.10774; Jones, Pewsey 2009; Johnson 1949; Yeo, Johnson 2000"

    map: Bend = "cubic-rational"
    layers: int = 6

    @property
    def scalar_map(self) -> BentLine:
        """Bijection of each coordinate, which starts near the identity."""
        return BentLine(self.map)

    @classmethod
    def cases(cls) -> Iterator[BentFlow]:
        """Yield an autoregressive spec, and a coupling spec with a context."""
        yield cls(features=2, layers=1, hidden=8)
        yield cls(features=2, layers=1, hidden=8, map="sinh", structure="coupling", context=2)
