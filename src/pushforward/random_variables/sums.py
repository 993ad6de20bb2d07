"""Sums of independent variables, u(z) = integral of f(x) g(z - x) over x: exact for tables, on a grid for densities."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import constraints

from ..core import Distribution, Exactness
from ..errors import DomainError, SpecError
from .expectations import as_torch, bounds, draw, element_support, log_density, position, quantile, require_scalar
from .tabulated import DiscreteTable, collect, tabulate

_SHAPE = torch.Size()
_LARGEST_PRODUCT = 1 << 31
_COARSEST, _FINEST = 1 << 12, 1 << 20


def _add_tables(a: DiscreteTable, b: DiscreteTable) -> DiscreteTable:
    """Return the table of a sum: by discrete convolution for whole numbers, otherwise from all pairs of values."""
    # A table with the error e contains the mass 1 - e; the table of the sum contains the product of the two masses.
    error = 1 - (1 - a.error) * (1 - b.error)
    size = len(a.values) * len(b.values)
    if size > _LARGEST_PRODUCT:
        raise SpecError(f"expected tables with at most {_LARGEST_PRODUCT} pairs of values, got {size}")
    if all(bool((t.values == t.values.round()).all()) for t in (a, b)):
        product = np.convolve(_dense(a), _dense(b))
        values = a.values[0] + b.values[0] + torch.arange(len(product), dtype=torch.float64)
        probabilities = torch.from_numpy(product)
        used = probabilities > 0
        return DiscreteTable(values[used], probabilities[used], error)
    pairs = (a.values.unsqueeze(1) + b.values).flatten()
    return collect(pairs, torch.outer(a.probabilities, b.probabilities).flatten(), error)


def _dense(table: DiscreteTable) -> np.ndarray:
    index = (table.values - table.values[0]).long()
    row = torch.zeros(int(index[-1]) + 1, dtype=torch.float64)
    row[index] = table.probabilities
    return row.numpy()


class GridSum(TorchDistribution):
    """Sum of independent continuous variables, whose density is computed by convolution on a grid.

    Every summand becomes a row of cells of width h with the probability of each cell. The rows are convolved by fast Fourier
    transform, and the result is interpolated linearly. This is exact for two summands with piecewise constant densities
    whose steps lie on the grid. Otherwise the error is O(h^2), or O(h) next to a pole of a summand's density. h is
    halved until the cumulative distribution function changes by less than `tolerance`. Draws are exact, as sums of draws.

    The error is absolute, so logarithms of densities below about 1e-12 of the largest density are not meaningful. There are no
    gradients with respect to the summands' parameters.

    Args:
        summands: Two or more distributions of one number each.
        tolerance: Largest error of the cumulative distribution function.

    Attributes:
        error: Estimated largest error of `cdf`.
        density_error: Estimated largest error of exp(`log_prob`); very large next to a pole or a jump.

    Raises:
        DomainError: The tolerance cannot be reached, for example with tails as heavy as Cauchy's.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    exactness = Exactness.LOWER | Exactness.UPPER

    def __init__(self, summands: list[TorchDistribution], tolerance: float = 1e-6) -> None:
        self.summands = summands
        super().__init__(validate_args=False)
        tail = tolerance / 100
        ranges = [_range(s, tail) for s in summands]
        cells = _COARSEST
        self._build(ranges, cells)
        while True:
            where = self._edges[1:-1]
            before, density_before = self._cdf(where), self._density(where)
            cells *= 2
            self._build(ranges, cells)
            self.error = (self._cdf(where) - before).abs().max().item() + len(summands) * tail
            self.density_error = (self._density(where) - density_before).abs().max().item()
            if self.error <= tolerance:
                break
            if cells >= _FINEST:
                raise DomainError(
                    f"expected a sum whose distribution fits a grid of {_FINEST} cells to {tolerance:g}, "
                    f"got an error of {self.error:.2g}; pass a larger tolerance"
                )

    def _build(self, ranges: list[tuple[float, float]], cells: int) -> None:
        step = sum(high - low for low, high in ranges) / cells
        rows = [_cells(s, low, high, step) for s, (low, high) in zip(self.summands, ranges, strict=True)]
        n = sum(len(row) - 1 for row in rows) + 1
        # A product of spectra is a circular convolution. n is the length of the linear convolution, so nothing wraps
        # around.
        spectrum = reduce(torch.mul, (torch.fft.rfft(row, n=n) for row in rows))
        mass = torch.fft.irfft(spectrum, n=n).clamp_min(0)
        # The sum of cell centres is the centre of a cell. Linear interpolation between centres needs one more at each end.
        mass = mass / mass.sum()
        start = sum(low for low, _ in ranges) + len(rows) * step / 2 - step
        self._edges = start + step * torch.arange(n + 2, dtype=torch.float64)
        self._values = torch.cat([mass.new_zeros(1), mass / step, mass.new_zeros(1)])
        areas = (self._values[1:] + self._values[:-1]) * step / 2
        self._areas = torch.cat([areas.new_zeros(1), areas.cumsum(0)])

    @property
    def _step(self) -> Tensor:
        return self._edges[1] - self._edges[0]

    def _locate(self, y: Tensor) -> tuple[Tensor, Tensor]:
        position = ((y.double() - self._edges[0]) / self._step).clamp(0, len(self._edges) - 1)
        index = position.detach().long().clamp_max(len(self._edges) - 2)
        return index, position - index

    def _density(self, y: Tensor) -> Tensor:
        index, part = self._locate(y)
        return torch.lerp(self._values[index], self._values[index + 1], part)

    def _cdf(self, y: Tensor) -> Tensor:
        index, part = self._locate(y)
        left, right = self._values[index], self._values[index + 1]
        # The density is linear in the cell: the integral of left + s (right - left) over s from 0 to `part`.
        return (self._areas[index] + self._step * (part * left + part.square() / 2 * (right - left))).clamp(0, 1)

    @property
    def support(self) -> constraints.Constraint:
        """Interval from the sum of the lower bounds to the sum of the upper bounds."""
        ends = [bounds(element_support(s)) for s in self.summands]
        return constraints.interval(sum(low.item() for low, _ in ends), sum(high.item() for _, high in ends))

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether every summand has differentiable draws."""
        return all(s.has_rsample for s in self.summands)

    @property
    def mean(self) -> Tensor:
        """Sum of the means."""
        return reduce(torch.add, (s.mean for s in self.summands))

    @property
    def variance(self) -> Tensor:
        """Sum of the variances."""
        return reduce(torch.add, (s.variance for s in self.summands))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density in nats; the density has the error `density_error`."""
        return self._density(value).log().to(value.dtype)

    def cdf(self, value: Tensor) -> Tensor:
        """Return P(X <= value), with the error `error`."""
        return self._cdf(value).to(value.dtype)

    def icdf(self, value: Tensor) -> Tensor:
        """Return the quantile of each value in [0, 1], by bisection of `cdf`."""
        low, high = self._edges[0], self._edges[-1]
        return quantile(self._cdf, value, low, high, low, high - low).to(value.dtype)

    def sample(self, sample_shape: Any = _SHAPE) -> Tensor:
        """Return sums of draws, which are exact."""
        return reduce(torch.add, (draw(s, tuple(sample_shape)) for s in self.summands))

    def rsample(self, sample_shape: Any = _SHAPE) -> Tensor:
        """Return sums of draws, with gradients to the summands' parameters."""
        draws = [s.rsample(torch.Size(sample_shape)) for s in self.summands]
        return reduce(
            torch.add, (x.squeeze(-1) if s.event_shape else x for s, x in zip(self.summands, draws, strict=True))
        )


def _range(base: TorchDistribution, tail: float) -> tuple[float, float]:
    """Return an interval with less than `tail` outside on each side; the support, where it is finite."""
    low, high = (b.double() for b in bounds(element_support(base)))
    if bool(low.isfinite() & high.isfinite()):
        return low.item(), high.item()
    middle, width = position(base)
    cdf = _cdf_of(base)
    if cdf is not None:
        ends = quantile(cdf, torch.tensor([tail, 1 - tail], dtype=torch.float64), low, high, middle, width)
        left, right = ends.tolist()
    else:
        left, right = _grow(base, tail, middle.item(), width.item())
    return (low.item() if low.isfinite() else left, high.item() if high.isfinite() else right)


def _grow(base: TorchDistribution, tail: float, middle: float, width: float) -> tuple[float, float]:
    """Return such an interval from integrals of the density over shells, for distributions without a `cdf`."""
    reach = 8 * width
    for _ in range(40):
        shells = [(middle - 2 * reach, middle - reach), (middle + reach, middle + 2 * reach)]
        if all(_cells(base, a, b, (b - a) / 64).sum().item() < tail for a, b in shells):
            break
        reach *= 2
    return middle - reach, middle + reach


def _cdf_of(base: TorchDistribution) -> Callable[[Tensor], Tensor] | None:
    """Return the cumulative distribution function in float64, or None if the class does not have it."""
    low, high = bounds(element_support(base))

    def cdf(x: Tensor) -> Tensor:
        return torch.where(x <= low, 0.0, torch.where(x >= high, 1.0, base.cdf(x.clamp(low, high)).double()))

    try:
        cdf(position(base)[0])
    except NotImplementedError:
        return None
    return cdf


def _cells(base: TorchDistribution, low: float, high: float, step: float) -> Tensor:
    """Return the probabilities of the cells of width `step` that cover [low, high]."""
    count = max(1, math.ceil((high - low) / step - 1e-9))
    edges = low + step * torch.arange(count + 1, dtype=torch.float64)
    cdf = _cdf_of(base)
    if cdf is not None:
        return cdf(edges).diff().clamp_min(0)
    # Without a cdf: Gauss-Legendre quadrature with four points in each cell.
    points, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(4))
    x = edges[:-1].unsqueeze(-1) + step * (points + 1) / 2
    return step / 2 * (log_density(base, x).exp() * weights).sum(-1)


class MixedSum(TorchDistribution):
    """Sum of a discrete and a continuous variable, u(z) = sum_k p_k f(z - v_k), as exact as its parts.

    Args:
        table: Table of the discrete variable.
        continuous: Continuous distribution of one number.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, table: DiscreteTable, continuous: TorchDistribution) -> None:
        self.table, self.continuous = table, continuous
        super().__init__(validate_args=False)

    @property
    def exactness(self) -> Exactness:
        """Exactness of the table combined with that of the density."""
        return self.table.exactness | getattr(self.continuous, "exactness", Exactness.EXACT)

    @property
    def support(self) -> constraints.Constraint:
        """Smallest interval that contains all shifted supports."""
        low, high = (b.item() for b in bounds(element_support(self.continuous)))
        return constraints.interval(low + self.table.values[0].item(), high + self.table.values[-1].item())

    @property
    def mean(self) -> Tensor:
        """Sum of the means."""
        return self.table.mean + self.continuous.mean

    @property
    def variance(self) -> Tensor:
        """Sum of the variances."""
        return self.table.variance + self.continuous.variance

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density in nats."""
        shifted = value.double().unsqueeze(-1) - self.table.values
        terms = self.table.probabilities.log() + log_density(self.continuous, shifted)
        return terms.logsumexp(-1).to(value.dtype)

    def cdf(self, value: Tensor) -> Tensor:
        """Return P(X <= value)."""
        cdf = _cdf_of(self.continuous)
        if cdf is None:
            raise NotImplementedError(f"{type(self.continuous).__name__} has no cdf")
        return (
            (self.table.probabilities * cdf(value.double().unsqueeze(-1) - self.table.values)).sum(-1).to(value.dtype)
        )

    def sample(self, sample_shape: Any = _SHAPE) -> Tensor:
        """Return sums of draws, which are exact."""
        return self.table.sample(sample_shape) + draw(self.continuous, tuple(sample_shape))


def sum_of(*summands: TorchDistribution | Distribution, tolerance: float = 1e-6) -> DiscreteTable | GridSum | MixedSum:
    """Return the distribution of a sum of independent variables.

    Discrete variables are added exactly, as tables (infinite supports up to the rounding of their total). Continuous
    variables are added by convolution on a grid, up to `tolerance`. A discrete and a continuous variable give a mixture.
    The result has an `exactness`, and tables and grids also an `error`.

    Args:
        summands: Two or more distributions of one number each, without batch dimensions.
        tolerance: Largest error of the cumulative distribution function of a sum of continuous variables.

    Raises:
        SpecError: There are fewer than two summands, or a table is too large.
        ShapeError: A summand has batch or event dimensions.
        DomainError: The tolerance cannot be reached.
    """
    if len(summands) < 2:
        raise SpecError(f"expected at least two distributions to add, got {len(summands)}")
    if not 0 < tolerance < 1:
        raise SpecError(f"expected a tolerance between 0 and 1, got {tolerance}")
    parts = [as_torch(s) for s in summands]
    for part in parts:
        require_scalar(part)
    discrete = [p for p in parts if element_support(p).is_discrete]
    continuous = [p for p in parts if not element_support(p).is_discrete]
    with torch.no_grad():
        table = reduce(_add_tables, (tabulate(p) for p in discrete)) if discrete else None
        if not continuous:
            return table  # type: ignore[return-value]
        density = continuous[0] if len(continuous) == 1 else GridSum(continuous, tolerance)
    return density if table is None else MixedSum(table, density)  # type: ignore[return-value]
