"""Gaussian: of any covariance or a diagonal one, the family of automatic variational inference before flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core import Flow, Inverse, Real
from ..distributions import Normal
from ..transforms import Affine, Cholesky, Elementwise
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class Gaussian(Spec):
    """x = m + L e with e standard normal, L lower triangular or diagonal; made from the context if there is one.

    Args:
        features: D.
        context: length of the context, 0 for none.
        full: whether L is triangular, and not only diagonal ("mean field").
        hidden: widths of the network that makes m and L from the context; none for a matrix.
    """

    name = "gaussian"
    family = "variational"
    paper = "Kucukelbir, Tran, Ranganath, Gelman, Blei 2017, arXiv:1603.00788"

    features: int
    context: int = 0
    full: bool = True
    hidden: tuple[int, ...] = ()

    def build(self) -> Flow:
        """The Gaussian, as a flow of one layer."""
        space = Real((self.features,))
        if self.full:
            return Flow(Inverse(Cholesky(space, context=self.context, hidden=self.hidden)), Normal(space))
        step = Elementwise(Affine(), space, context=self.context, hidden=self.hidden)
        return Flow(Inverse(step), Normal(space))

    def exemptions(self) -> Mapping[str, str]:
        """Return why the contribution need not vary where there is no context."""
        return {} if self.context else {"contribution_varies": "an affine map has the same slope everywhere"}

    @classmethod
    def cases(cls) -> Iterator[Gaussian]:
        """Both kinds."""
        yield cls(features=2)
        yield cls(features=2, full=False, context=2)
