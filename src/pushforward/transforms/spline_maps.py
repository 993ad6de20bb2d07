"""Splines beside the rational-quadratic one, as scalar maps of the line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..errors import SpecError
from ..functional.splines import Kind, piecewise_spline, spline_parameters
from .scalar import LineMap


@dataclass(frozen=True)
class PiecewiseSpline(LineMap):
    """Linear, quadratic, cubic or linear-rational spline on [-bound, bound], with straight tails.

    The tails have the slopes at the ends, so the slope of every kind but the linear one is continuous. All kinds have an
    inverse in closed form but the cubic one, whose inverse is computed by iteration inside of the bin.

    Args:
        kind: Kind of the spline: "linear" or "quadratic" (Müller et al. 2019, arXiv:1808.03856), "cubic" (Durkan et al. 2019,
            arXiv:1906.02145) or "linear-rational" (Dolatabadi et al. 2020, arXiv:2001.05168).
        bins: Number of bins K, 2 to 500.
        bound: Half-width of the interval.

    Raises:
        SpecError: An argument is out of range.
    """

    kind: Kind = "linear-rational"
    bins: int = 8
    bound: float = 5.0

    def __post_init__(self) -> None:
        """Check the number of bins and the bound."""
        if not 2 <= self.bins <= 500:
            raise SpecError(f"expected 2 to 500 bins, got {self.bins}")
        if not 0 < self.bound < math.inf:
            raise SpecError(f"expected a finite bound > 0, got {self.bound}")

    @property
    def n(self) -> int:
        """Number of free parameters: 2 K, 2 K + 1, 2 K + 2 or 4 K + 1 in the order of the kinds."""
        return spline_parameters(self.kind, self.bins)

    @property
    def numeric_inverse(self) -> bool:  # type: ignore[override]
        """Whether the spline is cubic."""
        return self.kind == "cubic"

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spline at x and its log-slope."""
        return piecewise_spline(x, p, self.kind, self.bins, self.bound)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverse spline at z and its log-slope."""
        return piecewise_spline(z, p, self.kind, self.bins, self.bound, inverse=True)
