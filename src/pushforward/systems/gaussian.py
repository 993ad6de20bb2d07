"""Gaussian with a full or diagonal covariance, the family of automatic variational inference before flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..core import Flow, Inverse
from ..transforms import Affine, Cholesky, Elementwise
from .vector_spec import VectorSpec


@dataclass(frozen=True, kw_only=True)
class Gaussian(VectorSpec):
    """Gaussian x = m + L e, e standard normal, L lower triangular or diagonal; m and L may depend on a context.

    Args:
        full: Whether L is triangular; otherwise it is diagonal ("mean field").
        hidden: Widths of the hidden layers of the network from the context to m and L; empty for a linear map.
    """

    name = "gaussian"
    family = "variational"
    paper = "Kucukelbir, Tran, Ranganath, Gelman, Blei 2017, arXiv:1603.00788"

    full: bool = True
    hidden: tuple[int, ...] = ()

    def build(self) -> Flow:
        """Return the Gaussian as a flow with one layer."""
        space, given = self.space, {"context": self.given, "hidden": self.hidden, "activation": self.activation}
        if self.full:
            return self.flow(Inverse(Cholesky(space, **given)))  # type: ignore[arg-type]
        return self.flow(Inverse(Elementwise(Affine(), space, **given)))  # type: ignore[arg-type]

    def exemptions(self) -> Mapping[str, str]:
        """Return the reason why the log-determinant is constant without a context."""
        return {} if self.given else {"contribution_varies": "an affine map has the same slope everywhere"}

    @classmethod
    def cases(cls) -> Iterator[Gaussian]:
        """Yield one spec of each kind."""
        yield cls(features=2)
        yield cls(features=2, full=False, context=2)
