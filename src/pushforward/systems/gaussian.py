"""Gaussian: of any covariance or a diagonal one, the family of automatic variational inference before flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core import Flow, Inverse
from ..transforms import Affine, Cholesky, Elementwise
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class Gaussian(VectorSpec):
    """x = m + L e with e standard normal, L lower triangular or diagonal; made from the context if there is one.

    Args:
        full: Whether L is triangular; without, it is diagonal ("mean field").
        hidden: Widths of the network that makes m and L from the context; empty for a matrix.
    """

    name = "gaussian"
    family = "variational"
    paper = "Kucukelbir, Tran, Ranganath, Gelman, Blei 2017, arXiv:1603.00788"

    full: bool = True
    hidden: tuple[int, ...] = ()

    def build(self) -> Flow:
        """Return the Gaussian, as a flow of one layer."""
        space, given = self.space, {"context": self.given, "hidden": self.hidden, "activation": self.activation}
        if self.full:
            return self.flow(Inverse(Cholesky(space, **given)))  # type: ignore[arg-type]
        return self.flow(Inverse(Elementwise(Affine(), space, **given)))  # type: ignore[arg-type]

    def exemptions(self) -> Mapping[str, str]:
        """Return why the contribution need not vary where there is no context."""
        return {} if self.given else {"contribution_varies": "an affine map has the same slope everywhere"}

    @classmethod
    def cases(cls) -> Iterator[Gaussian]:
        """Both kinds."""
        yield cls(features=2)
        yield cls(features=2, full=False, context=2)
