"""Discrete distributions of numbers as tables, for exact sums and push-forwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import constraints

from ..core import Distribution, Exactness
from ..errors import DomainError, ShapeError, SpecError
from .expectations import as_torch, bounds, element_support, log_density, require_scalar

_SHAPE = torch.Size()
_LARGEST_TABLE = 1 << 22


class _Members(constraints.Constraint):
    """Constraint to a finite set of numbers."""

    is_discrete = True

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def check(self, value: Tensor) -> Tensor:
        """Return which values are in the set."""
        return torch.isin(value.double(), self.values)


class DiscreteTable(TorchDistribution):
    """Discrete distribution of numbers as a table of values and probabilities.

    Args:
        values: Values (K,), all different.
        probabilities: Probabilities (K,), with the sum 1 - error.
        error: Probability that is missing in the table; each probability may be too small by this amount.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_enumerate_support = True

    def __init__(self, values: Tensor, probabilities: Tensor, error: float = 0.0) -> None:
        if values.dim() != 1 or values.shape != probabilities.shape:
            raise ShapeError(
                f"expected as many values as probabilities, got {tuple(values.shape)} and {tuple(probabilities.shape)}"
            )
        if not bool((probabilities >= 0).all()) or abs(probabilities.sum().item() + error - 1) > 1e-4:
            raise DomainError(
                f"expected probabilities >= 0 that add up to 1, got a sum of {probabilities.sum().item()}"
            )
        self.values, order = values.double().sort()
        self.probabilities = probabilities.double()[order]
        self.error = error
        self._cumulative = self.probabilities.cumsum(0)
        super().__init__(validate_args=False)

    @property
    def exactness(self) -> Exactness:
        """Exactness: exact, or a lower bound if some probability is missing."""
        return Exactness.LOWER if self.error else Exactness.EXACT

    @property
    def support(self) -> constraints.Constraint:
        """The set of values."""
        return _Members(self.values)

    @property
    def mean(self) -> Tensor:
        """Mean of the distribution."""
        return (self.values * self.probabilities).sum()

    @property
    def variance(self) -> Tensor:
        """Variance of the distribution."""
        return ((self.values - self.mean).square() * self.probabilities).sum()

    def entropy(self) -> Tensor:
        """Return the entropy in nats."""
        return -torch.special.xlogy(self.probabilities, self.probabilities).sum()

    def enumerate_support(self, expand: bool = True) -> Tensor:  # noqa: FBT001, FBT002
        """Return all values, (K,)."""
        return self.values

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log-probabilities in nats; -inf for numbers that are not in the table."""
        value = value if value.is_floating_point() else value.double()
        values = self.values.to(value.dtype)
        nearest = torch.searchsorted(values, value.contiguous()).clamp_max(len(values) - 1)
        logp = self.probabilities.log()[nearest].to(value.dtype)
        return torch.where(values[nearest] == value, logp, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """Return P(X <= value)."""
        value = value if value.is_floating_point() else value.double()
        below = torch.searchsorted(self.values.to(value.dtype), value.contiguous(), right=True)
        return torch.cat([self.values.new_zeros(1), self._cumulative])[below].to(value.dtype)

    def icdf(self, value: Tensor) -> Tensor:
        """Return the smallest number of the table with P(X <= number) >= value."""
        index = torch.searchsorted(self._cumulative, value.double().contiguous())
        return self.values[index.clamp_max(len(self.values) - 1)].to(value.dtype)

    def sample(self, sample_shape: Any = _SHAPE) -> Tensor:
        """Return draws in the default floating-point dtype."""
        u = torch.rand(torch.Size(sample_shape), dtype=torch.float64) * self._cumulative[-1]
        return self.icdf(u).to(torch.get_default_dtype())

    def push(self, map: Callable[[Tensor], Tensor]) -> DiscreteTable:
        """Return the push-forward g(y) = sum of f(x) over x with map(x) = y, which is exact for every map."""
        return collect(map(self.values), self.probabilities, self.error)


def tabulate(base: TorchDistribution | Distribution, tail: float = 1e-13) -> DiscreteTable:
    """Return a discrete distribution of numbers as a table; infinite supports are cut where the rest is below `tail`.

    Raises:
        ShapeError: The base has batch or event dimensions.
        SpecError: The base is continuous, or needs a table of more than four million rows.
    """
    base = as_torch(base)
    if isinstance(base, DiscreteTable):
        return base
    require_scalar(base)
    support = element_support(base)
    if not support.is_discrete:
        raise SpecError(f"expected a discrete distribution, got {base}; use `monotone` or `branches` for densities")
    if base.has_enumerate_support:
        values = base.enumerate_support().double().flatten()
        probabilities = log_density(base, values).exp()
        return DiscreteTable(values, probabilities / probabilities.sum())
    low = bounds(support)[0].item()
    if not math.isfinite(low):
        raise SpecError(f"expected a discrete distribution with a smallest value, got {base}")
    n, mass = 64, 0.0
    while n <= _LARGEST_TABLE:
        values = low + torch.arange(n, dtype=torch.float64)
        probabilities = log_density(base, values).exp()
        total = probabilities.sum().item()
        if total > 0.5 and total - mass < tail:
            used = probabilities > 0
            return DiscreteTable(values[used], probabilities[used], max(1 - total, tail))
        n, mass = 2 * n, total
    raise SpecError(f"expected a distribution that fits into a table of {_LARGEST_TABLE} rows, got {base}")


def collect(values: Tensor, probabilities: Tensor, error: float) -> DiscreteTable:
    """Return a table in which equal values share a row and their probabilities are added."""
    unique, index = values.double().unique(return_inverse=True)
    return DiscreteTable(unique, torch.zeros_like(unique).index_add(0, index, probabilities), error)
