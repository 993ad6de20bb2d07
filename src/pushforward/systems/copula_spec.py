"""Base class of systems that separate the marginals from the dependence: marginals with learned tails, and a copula."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SpecError
from ..transforms import Marginals
from .plain_spec import PlainSpec


@dataclass(frozen=True, kw_only=True)
class CopulaSpec(PlainSpec, register=False):
    """Base class of x_i = F_i^-1(u_i), u from a copula.

    Args:
        bins: Number of bins of the spline in the body of each marginal.
        share: Share of the rows in each tail of a marginal at the start, below 1/2; 0 for the largest of 0.3, 0.2, 0.1 and
            0.05 whose rows a generalised Pareto law fits.
        trained: Whether training changes the marginals, too. Otherwise they stay at their own fit (inference functions for
            margins, Joe 2005), and the noise of training does not move extreme quantiles. One feature is always trained.
    """

    bins: int = 16
    share: float = 0.0
    trained: bool = False

    def validate(self) -> None:
        """Check the number of bins, and the share."""
        super().validate()
        self._at_least("bins", 2)
        if not 0 <= self.share < 0.5:
            raise SpecError(f"expected {self.name}.share in [0, 0.5), got {self.share}")

    def marginals(self) -> Marginals:
        """Return the layer from data to logistic scores."""
        return Marginals(self.space, self.bins, share=self.share, trained=self.trained or self.features == 1)
