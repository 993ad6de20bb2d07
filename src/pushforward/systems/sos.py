"""SOS: sum-of-squares polynomial flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..transforms import SumOfSquares
from .scalar_map_spec import ScalarMapSpec


@dataclass(frozen=True, kw_only=True)
class SOS(ScalarMapSpec):
    """Sum-of-squares flow: each number passes the integral of a sum of squared polynomials.

        dz_i/dx_i = 0.001 + sum_m P_m(x_i; net_i(x_<i))^2

    Args:
        polynomials: Number of squared polynomials.
        degree: Degree L of each; the map has the degree 2 L + 1.
        bound: Half-width of the interval outside of which the map is a straight line; 3 suits standardised data.
    """

    name = "sos"
    family = "polynomials"
    paper = "Jaini, Selby, Yu 2019, arXiv:1905.02325"

    polynomials: int = 3
    degree: int = 4
    bound: float = 3.0

    def validate(self) -> None:
        """Check the sizes of the networks and of the map."""
        super().validate()
        _ = self.scalar_map  # the map checks its own sizes

    @property
    def scalar_map(self) -> SumOfSquares:
        """Increasing polynomial of each coordinate, which starts near the identity."""
        return SumOfSquares(self.bound, self.polynomials, self.degree)

    @classmethod
    def cases(cls) -> Iterator[SOS]:
        """Yield an autoregressive spec, and a coupling spec with a context."""
        yield cls(features=2, layers=1, hidden=8, polynomials=2, degree=2)
        yield cls(features=2, layers=1, hidden=8, polynomials=2, degree=3, structure="coupling", context=2)
