"""Push-forwards: the distribution of y = r(x) for x from a given distribution.

    r strictly monotone:   g(y) = f(s(y)) |s'(y)|,   s the inverse of r;   G = F(s) when r increases, 1 - F(s) when it decreases
    r piecewise monotone:  the sum of these densities over the pieces
    r linear, y = B x + a: g(y) = f(B^-1 (y - a)) / |det B|
    discrete x:            g(y) = sum of f(x) over x with r(x) = y, without a Jacobian
    sums:                  u(z) = integral of f(x) g(z - x) over x, for independent variables

The results are `torch.distributions` distributions; bases are distributions of torch or of this library. Densities,
distribution functions and draws of the first four are exact; see `sum_of` for the last. `expectation` computes
E[h(r(X))], the integral of h(r(x)) f(x), by quadrature.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import Independent, constraints

from ..core import Distribution, Exactness
from ..errors import DomainError, ShapeError, SpecError
from .expectations import as_torch, probe
from .piecewise import Branch, Map, PushForward
from .tabulated import DiscreteTable, tabulate

_SHAPE = torch.Size()


def monotone(
    base: TorchDistribution | Distribution,
    map: Map,
    inverse: Map,
    derivative: Map | None = None,
    *,
    increasing: bool = True,
    support: constraints.Constraint | None = None,
) -> PushForward:
    """Return the distribution of y = map(x), strictly monotone on the base's support: g(y) = f(s(y)) |s'(y)|.

    Args:
        base: Continuous distribution of x; if its events have several coordinates, the map acts on each.
        map: Map r, elementwise.
        inverse: Inverse s, elementwise; outside the image of r its values do not matter.
        derivative: Derivative s' of the inverse; by automatic differentiation if it is not given.
        increasing: Whether r increases; for a decreasing r, G = 1 - F(s).
        support: Support of y; by default from the values of r at the ends of the base's support.

    Raises:
        SpecError: The base is discrete, or `map` and `inverse` do not match.
    """
    return PushForward(base, [Branch(-math.inf, math.inf, map, inverse, derivative, increasing)], support)


def branches(base: TorchDistribution | Distribution, pieces: Sequence[Branch]) -> PushForward:
    """Return the distribution of y = r(x) for a piecewise monotone r: the sum of the branches' densities.

    For example the square of a standard normal variable, which is chi-square with one degree of freedom:
    `branches(Normal(0., 1.), [Branch(-inf, 0., square, lambda y: -y.sqrt()), Branch(0., inf, square, Tensor.sqrt)])`.

    Args:
        base: Continuous distribution of a single number x, of any batch shape.
        pieces: Branches that cover the support of the base and overlap only at their ends.

    Raises:
        SpecError: The branches overlap or leave a gap, or a map and its inverse do not match.
    """
    ordered = sorted(pieces, key=lambda branch: branch.low)
    for left, right in itertools.pairwise(ordered):
        if right.low < left.high:
            raise SpecError(
                f"expected branches that do not overlap, got one to {left.high:g} and one from {right.low:g}"
            )
    return PushForward(base, ordered)


def discrete(base: TorchDistribution | Distribution, map: Map) -> DiscreteTable:
    """Return the distribution of y = map(x) for a discrete x and any map: g(y) = sum of f(x) over x with map(x) = y.

    Args:
        base: Discrete distribution of a single number.
        map: Map, elementwise, on float64 values.

    Raises:
        SpecError: The base is continuous or too large for a table.
    """
    return tabulate(base).push(map)


class LinearCombination(TorchDistribution):
    """Distribution of y = B x + a, g(y) = f(B^-1 (y - a)) / |det B|; see `linear`. Mean and covariance are exact."""

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector
    exactness = Exactness.EXACT

    def __init__(self, base: TorchDistribution, matrix: Tensor, offset: Tensor) -> None:
        self.base, self.matrix, self.offset = base, matrix, offset
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether the base's draws carry gradients."""
        return self.base.has_rsample

    @property
    def mean(self) -> Tensor:
        """Mean B E[x] + a."""
        return self._apply(self.base.mean)

    @property
    def covariance_matrix(self) -> Tensor:
        """Covariance B Cov[x] B^T, if the base has a covariance or independent coordinates."""
        if isinstance(self.base, Independent) and not self.base.base_dist.event_shape:
            inner = torch.diag_embed(self.base.variance)
        elif hasattr(self.base, "covariance_matrix"):
            inner = self.base.covariance_matrix
        else:
            raise NotImplementedError(f"the covariance of {type(self.base).__name__} is not known")
        return self.matrix.to(inner) @ inner @ self.matrix.to(inner).mT

    @property
    def variance(self) -> Tensor:
        """Diagonal of the covariance."""
        return self.covariance_matrix.diagonal(dim1=-2, dim2=-1)

    def _apply(self, x: Tensor) -> Tensor:
        return x @ self.matrix.to(x).mT + self.offset.to(x)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LinearCombination:
        """Return the same distribution with a larger batch shape."""
        return LinearCombination(self.base.expand(batch_shape), self.matrix, self.offset)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density in nats, (*sample, *batch); -inf where B^-1 (y - a) is outside the base's support."""
        if value.shape[-1:] != self.event_shape:
            raise ShapeError(f"expected a value of shape (*batch, {self.event_shape[0]}), got {tuple(value.shape)}")
        if bool(value.isnan().any()):
            raise DomainError("expected numbers, got NaN in the value")
        matrix = self.matrix.to(value)
        x = torch.linalg.solve(matrix, (value - self.offset.to(value)).unsqueeze(-1)).squeeze(-1)
        support = self.base.support or constraints.real_vector
        inside = support.check(x)
        # Points outside the support are replaced by one inside: `log_prob` of the base would raise an error for them.
        safe = torch.where(inside.unsqueeze(-1), x, probe(self.base, 1)[0].to(x))
        logp = self.base.log_prob(safe) - torch.linalg.slogdet(matrix).logabsdet
        return torch.where(inside, logp, -math.inf)

    def sample(self, sample_shape: Any = _SHAPE) -> Tensor:
        """Return B x + a for the base's draws, without gradients."""
        with torch.no_grad():
            return self._apply(self.base.sample(torch.Size(sample_shape)))

    def rsample(self, sample_shape: Any = _SHAPE) -> Tensor:
        """Return B x + a for the base's draws, with gradients."""
        return self._apply(self.base.rsample(torch.Size(sample_shape)))


def _tensor(value: Tensor | float) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


def linear(
    base: TorchDistribution | Distribution, matrix: Tensor | float, offset: Tensor | float = 0.0
) -> LinearCombination | PushForward:
    """Return the distribution of y = B x + a: g(y) = f(B^-1 (y - a)) / |det B|.

    Args:
        base: Continuous distribution of vectors (D,), or of numbers.
        matrix: Matrix B (D, D), or a number for the scale.
        offset: Vector a (D,), or a number for the location.

    Returns:
        A `LinearCombination` for vectors; a `PushForward` for numbers, which also has `cdf` and `icdf`.

    Raises:
        ShapeError: The matrix or the offset does not fit the base's events.
        SpecError: The matrix is singular, or the base is discrete.
    """
    base, (matrix, offset) = as_torch(base), (_tensor(value) for value in (matrix, offset))
    if base.event_shape == () and matrix.dim() == 0 and offset.dim() == 0:
        if matrix == 0 or not matrix.isfinite():
            raise SpecError(f"expected a finite scale other than 0, got {matrix.item()}")
        return monotone(
            base,
            lambda x: offset + matrix * x,
            lambda y: (y - offset) / matrix,
            lambda y: torch.ones_like(y) / matrix,
            increasing=bool(matrix > 0),
        )
    if len(base.event_shape) != 1:
        raise ShapeError(
            f"expected a base over vectors, got event shape {tuple(base.event_shape)}; "
            "make batches of numbers into vectors with torch.distributions.Independent(base, 1)"
        )
    if base.support is not None and base.support.is_discrete:
        raise SpecError(f"expected a continuous base, got {base}; use `discrete` for probabilities")
    size = base.event_shape[0]
    if tuple(matrix.shape) != (size, size):
        raise ShapeError(f"expected a matrix of shape {(size, size)}, got {tuple(matrix.shape)}")
    if tuple(offset.shape) not in ((), (size,)):
        raise ShapeError(f"expected an offset of shape {(size,)}, got {tuple(offset.shape)}")
    rank = int(torch.linalg.matrix_rank(matrix))
    if rank < size:
        raise SpecError(f"expected an invertible matrix, got one of rank {rank} of {size}: y has no density then")
    return LinearCombination(base, matrix, offset)
