"""Vine copula with marginals that have learned tails, for tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core import Distribution, Flow
from ..distributions import VineCopula
from ..functional.pair_copulas import NAMES
from .copula_spec import CopulaSpec


@dataclass(frozen=True, kw_only=True)
class Vine(CopulaSpec):
    """Marginals with generalised Pareto tails, and a regular vine of pair copulas.

    The trees and the families are chosen from the data before training, which changes the parameters of the pair copulas.

    Args:
        truncation: Number of trees with pair copulas; None for all.
        pairs: Families that are compared: "parametric" (independence, Gaussian, Student, Clayton, Gumbel, Frank, with
            rotations), "kernel" (independence and a kernel estimate), "all", "gaussian" or "independence".
    """

    name = "vine"
    family = "copulas"
    paper = "Aas, Czado, Frigessi, Bakken 2009; Dissmann, Brechmann, Czado, Kurowicka 2013, arXiv:1202.2002"

    truncation: int | None = None
    pairs: Literal["parametric", "kernel", "all", "gaussian", "independence"] = "all"

    def validate(self) -> None:
        """Check the truncation."""
        super().validate()
        if self.truncation is not None:
            self._at_least("truncation", 0)

    def build(self) -> Flow:
        """Return the flow of the marginals, with the vine as its base."""
        several = {"parametric": NAMES[:-1], "kernel": (NAMES[0], NAMES[-1]), "all": NAMES}
        families = several.get(self.pairs, (self.pairs,))
        return Flow(self.marginals(), VineCopula(self.space, self.truncation, families))

    def findings(self, model: Distribution, names: Sequence[str]) -> list[str]:
        """Return a sentence for each pair copula with a parameter at the end of its range."""
        vine = next(part for part in model.modules() if isinstance(part, VineCopula))
        return vine.at_bounds(names)

    @classmethod
    def cases(cls) -> Iterator[Vine]:
        """Yield specs with two features, and with a truncated vine of three."""
        yield cls(features=2, bins=3, trained=True)
        yield cls(features=3, bins=3, truncation=1, pairs="parametric")
