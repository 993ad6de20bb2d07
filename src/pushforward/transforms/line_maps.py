"""Scalar maps of the line that act on an interval and go on as straight lines: integrals of networks, and polynomials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SpecError
from ..functional.linear_tails import linear_tails
from ..functional.polynomials import bernstein, sum_of_squares
from ..functional.positive_network import integrated_network, network_parameters
from ..functional.roots import monotone_inverse
from .scalar import LineMap


@dataclass(frozen=True)
class LinearTails(LineMap):
    """Base class of maps that act on [-bound, bound] and have straight tails, with the slope at the nearest end.

    The slope is continuous and positive everywhere, so each map reaches every real number. Inside of the interval the inverse
    is computed by iteration.

    Args:
        bound: Half-width of the interval.

    Raises:
        SpecError: The bound is not a positive number.
    """

    numeric_inverse = True
    bound: float = 5.0

    def __post_init__(self) -> None:
        """Check the bound."""
        if not 0 < self.bound < math.inf:
            raise SpecError(f"expected a finite bound > 0, got {self.bound}")

    def inside(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image of x in [-bound, bound] and the log-slope."""
        raise NotImplementedError

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image and the log-slope."""
        return linear_tails(lambda v: self.inside(v, p), x, self.bound)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x with this image, and the log-slope."""
        end = torch.full_like(z, self.bound)
        return monotone_inverse(lambda x: self.forward(x, p), z, -end, end, type(self).__name__)


@dataclass(frozen=True)
class IntegratedNetwork(LinearTails):
    """Integral of a positive network, an unconstrained monotone map (Wehenkel and Louppe 2019, arXiv:1908.05164, eq. 2).

        z = shift + int_0^x g(t; p) dt,    g > 0

    The conditioner computes all weights of the network g; in the paper it computes an input of a network that all coordinates
    share. The integral is a Clenshaw-Curtis sum, and the log-slope is log g(x). Bounds on the steepness of g keep the error
    of the sum small: with one hidden layer and 48 nodes, or with two and 96, its slope differs from g(x) by at most one part
    in 10^8.

    Args:
        width: Number of units K of each hidden layer of g.
        layers: Number of hidden layers of g, 1 or 2.
        nodes: Even number of intervals between the nodes of the rule.

    Raises:
        SpecError: An argument is out of range.
    """

    width: int = 12
    layers: int = 1
    nodes: int = 48

    def __post_init__(self) -> None:
        """Check the sizes."""
        super().__post_init__()
        if self.width < 1 or self.layers not in (1, 2):
            raise SpecError(
                f"expected a width of at least 1 and one or two layers, got width={self.width}, layers={self.layers}"
            )
        if not 2 <= self.nodes <= 1000 or self.nodes % 2:
            raise SpecError(f"expected an even number of nodes from 2 to 1000, got {self.nodes}")

    @property
    def n(self) -> int:
        """Number of free parameters: 3 K + 2 with one layer, K^2 + 4 K + 2 with two."""
        return network_parameters(self.width, self.layers)

    def inside(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the integral from 0 to x, plus the shift, and log g(x)."""
        return integrated_network(x, p, self.width, self.layers, self.nodes, self.bound / 2)


@dataclass(frozen=True)
class SumOfSquares(LinearTails):
    """Integral of a sum of squared polynomials (Jaini et al. 2019, arXiv:1905.02325, eq. 7), with a linear term.

        dz/dx = 0.001 + sum_m P_m(x / bound)^2

    Args:
        polynomials: Number M of squared polynomials.
        degree: Degree L of each; z has the degree 2 L + 1.

    Raises:
        SpecError: An argument is out of range.
    """

    bound: float = 3.0
    polynomials: int = 3
    degree: int = 4

    def __post_init__(self) -> None:
        """Check the sizes."""
        super().__post_init__()
        if self.polynomials < 1 or not 0 <= self.degree <= 12:
            raise SpecError(
                f"expected at least one polynomial and a degree from 0 to 12, got {self.polynomials} and {self.degree}"
            )

    @property
    def n(self) -> int:
        """Number of free parameters: M (L + 1) coefficients and a shift."""
        return self.polynomials * (self.degree + 1) + 1

    def inside(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the integral from 0 to x, plus the shift, and the log-slope."""
        return sum_of_squares(x, p, self.polynomials, self.degree, self.bound)


@dataclass(frozen=True)
class Bernstein(LinearTails):
    """Bernstein polynomial with increasing coefficients (Ramasinghe et al. 2021, arXiv:2102.03509).

    Args:
        degree: Degree M.

    Raises:
        SpecError: An argument is out of range.
    """

    bound: float = 3.0
    degree: int = 16

    def __post_init__(self) -> None:
        """Check the degree."""
        super().__post_init__()
        if not 1 <= self.degree <= 100:
            raise SpecError(f"expected a degree from 1 to 100, got {self.degree}")

    @property
    def n(self) -> int:
        """Number of free parameters: M steps between coefficients and a shift."""
        return self.degree + 1

    def inside(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the polynomial and its log-slope."""
        return bernstein(x, p, self.bound)
