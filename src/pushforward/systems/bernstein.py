"""Bernstein flow: increasing Bernstein polynomials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..transforms import Bernstein
from .scalar_map_spec import ScalarMapSpec


@dataclass(frozen=True, kw_only=True)
class BernsteinFlow(ScalarMapSpec):
    """Bernstein flow: each number passes a Bernstein polynomial with increasing coefficients.

        z_i = sum_k c_k C(M, k) u^k (1 - u)^(M - k),    u = (x_i + bound) / (2 bound),    c = net_i(x_<i)

    Args:
        degree: Degree M of the polynomials.
        bound: Half-width of the interval outside of which the map is a straight line; 3 suits standardised data.
    """

    name = "bernstein"
    family = "polynomials"
    paper = "Ramasinghe, Fernando, Khan, Barnes 2021, arXiv:2102.03509"

    degree: int = 16
    bound: float = 3.0

    def validate(self) -> None:
        """Check the sizes of the networks and of the map."""
        super().validate()
        _ = self.scalar_map  # the map checks its own sizes

    @property
    def scalar_map(self) -> Bernstein:
        """Increasing polynomial of each coordinate, which starts as the identity."""
        return Bernstein(self.bound, self.degree)

    @classmethod
    def cases(cls) -> Iterator[BernsteinFlow]:
        """Yield an autoregressive spec, and a coupling spec with a context."""
        yield cls(features=2, layers=1, hidden=8, degree=5)
        yield cls(features=2, layers=1, hidden=8, degree=6, structure="coupling", context=2)
