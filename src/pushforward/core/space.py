"""Event spaces: the shape, kind of number, support, tangent basis and quadrature of one event."""

from __future__ import annotations

import abc
import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint

from ..errors import SpecError


@dataclass(frozen=True)
class Space(abc.ABC):
    """Where one event lives. Two layers can be chained when their spaces are equal.

    Args:
        shape: Shape of one event, without batch dimensions.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Store the shape as a tuple, and refuse one that is not made of whole numbers."""
        object.__setattr__(self, "shape", tuple(self.shape))
        if any(not isinstance(s, int) or s < 0 for s in self.shape):
            raise SpecError(f"expected a shape of whole numbers >= 0, got {self.shape}")

    @property
    def size(self) -> int:
        """Numbers in one event."""
        return math.prod(self.shape)

    def bits(self, logp: Any) -> Any:
        """Bits per dimension of log-probabilities in nats: -logp / (size log 2). Of densities they depend on the units."""
        return -logp / (max(1, self.size) * math.log(2))

    @property
    def dim(self) -> int:
        """Dimension of the tangent space; `size` unless the space is curved."""
        return self.size

    @property
    def discrete(self) -> bool:
        """Whether `log_prob` is the log of a probability, rather than of a density."""
        return False

    @property
    def whole(self) -> bool:
        """Whether entries are whole numbers carried as floats, which hold them exactly only so far."""
        return False

    def event_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype of events in a model whose parameters have floating-point type `dtype`."""
        return dtype

    @property
    def bounded(self) -> bool:
        """Whether some values of the right shape and dtype lie outside."""
        return False

    def finite(self, x: Tensor) -> Tensor:
        """Which entries an event may hold at all: the finite ones; rows of a table also allow NaN for a missing value."""
        return x.isfinite()

    def contains(self, x: Tensor) -> Tensor:
        """Which rows of a flat batch lie in the space: (B, *shape) -> (B,) of bool."""
        return rows(x.isfinite())

    def nearest(self, x: Tensor) -> Tensor:
        """Some point of the space for each row, equal to the row where that lies inside."""
        return x

    def near(self, x: Tensor) -> Tensor:
        """Return which rows would lie in the space if they had been written with more digits: (B, *shape) -> (B,) of bool."""
        return rows((x - self.nearest(x)).abs() <= 1e-3 * x.abs().clamp_min(1))

    @abc.abstractmethod
    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Any n points of the space, for the laws and for tracing: (n, *shape)."""

    def another(self, x: Tensor) -> Tensor:
        """Return for each point a clearly different point of the same space: (B, *shape) -> (B, *shape)."""
        return self.random(len(x), x.dtype).to(x)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return a rule that integrates over the space: points (N, *shape) and weights (N,), both in float64.

        On discrete spaces the weights are one. Where the space is unbounded the points cover about 70 deviations.

        Args:
            points: Number of points along an unbounded axis.

        Raises:
            SpecError: There is no rule: the space has too many dimensions or states.
        """
        raise SpecError(f"expected a space over which a density can be added up, got {self}")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The least and the largest value of an entry, where entries are free of each other; None where they are not."""
        return None

    @property
    def counts(self) -> tuple[int, ...] | None:
        """Number of values of each entry, flat; None where a value is not one of a finite number."""
        return None

    @property
    def one_hot(self) -> bool:
        """Whether events are labels carried as one-hot vectors."""
        return False

    @property
    def constraint(self) -> Constraint:
        """The constraint of torch's distributions that describes the space, as far as there is one."""
        return constraints.independent(constraints.real, len(self.shape))

    def on_edge(self, x: Tensor) -> Tensor:
        """Return which rows lie on the edge of the space: (B, *shape) -> (B,) of bool."""
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)

    def edges(self) -> list[float]:
        """Return values of an entry at which maps may break: ends of the space, knots, zero; none where that means nothing."""
        return []

    def tangent(self, x: Tensor) -> Tensor:
        """Return an orthonormal basis of the tangent space at each point: (B, *shape) -> (B, size, dim)."""
        return torch.eye(self.size, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)

    def frame(self, x: Tensor) -> Tensor:
        """Return `tangent(x)`; the old name."""
        warnings.warn("Space.frame is called Space.tangent now", DeprecationWarning, stacklevel=2)
        return self.tangent(x)


@dataclass(frozen=True)
class Real(Space):
    """All real arrays of a shape; densities with respect to Lebesgue measure."""

    @property
    def interval(self) -> tuple[float, float]:
        """The whole line."""
        return -math.inf, math.inf

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal points."""
        return torch.randn(n, *self.shape, dtype=dtype)

    def edges(self) -> list[float]:
        """Return zero, and the usual ends and knots of splines."""
        return [0.0, 1.0, -1.0, 3.0, -3.0, 4.0, -4.0, 5.0, -5.0]

    def another(self, x: Tensor) -> Tensor:
        """Return the points moved by one along every axis."""
        return x + 1

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return a rule for one or two dimensions: x = sinh t spreads the nodes over many scales."""
        t = torch.linspace(-5, 5, points, dtype=torch.float64)
        return product_rule(self, t.sinh(), t.cosh() * (t[1] - t[0]))


@dataclass(frozen=True)
class Box(Space):
    """Real arrays with every entry in [low, high]; either bound may be infinite.

    Args:
        shape: Shape of one event.
        low: smallest value.
        high: largest value.

    Raises:
        SpecError: when low >= high.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Refuse an empty box."""
        super().__post_init__()
        if not self.low < self.high:
            raise SpecError(f"expected low < high, got low={self.low}, high={self.high}")

    @property
    def bounded(self) -> bool:
        """True: a box has an outside."""
        return True

    @property
    def interval(self) -> tuple[float, float]:
        """The two bounds."""
        return self.low, self.high

    @property
    def constraint(self) -> Constraint:
        """An interval, a half-line or the line, for every entry."""
        inner: Constraint
        if math.isinf(self.high):
            inner = constraints.real if math.isinf(self.low) else constraints.greater_than_eq(self.low)
        else:
            inner = (
                constraints.less_than(self.high) if math.isinf(self.low) else constraints.interval(self.low, self.high)
            )
        return constraints.independent(inner, len(self.shape))

    def on_edge(self, x: Tensor) -> Tensor:
        """Return which rows have an entry at a bound."""
        return ~rows((x > self.low) & (x < self.high))

    def contains(self, x: Tensor) -> Tensor:
        """Rows with every entry in [low, high]."""
        return rows((x >= self.low) & (x <= self.high))

    def nearest(self, x: Tensor) -> Tensor:
        """Entries moved to the nearest bound."""
        return x.clamp(self.low, self.high)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Points inside, away from the bounds by 1 % of the width."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return self.low + (self.high - self.low) * (0.01 + 0.98 * torch.rand(n, *self.shape, dtype=dtype))
        x = torch.randn(n, *self.shape, dtype=dtype)
        if math.isfinite(self.low):
            return self.low + x.abs() + 0.01
        return self.high - x.abs() - 0.01 if math.isfinite(self.high) else x

    def edges(self) -> list[float]:
        """Return the finite bounds."""
        return [bound for bound in (self.low, self.high) if math.isfinite(bound)]

    def another(self, x: Tensor) -> Tensor:
        """Return the points moved by half of the width, round the end; by one, away from the bound, where one is infinite."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return self.low + (x - self.low + (self.high - self.low) / 2) % (self.high - self.low)
        return x + 1 if self.high == math.inf else x - 1

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return a rule for one or two dimensions: equal cells between two bounds, x = e^t from a single one."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            cells = 600
            width = (self.high - self.low) / cells
            axis = self.low + (torch.arange(cells, dtype=torch.float64) + 0.5) * width
            return product_rule(self, axis, torch.full_like(axis, width))
        t = torch.linspace(-5, 5, points, dtype=torch.float64)
        if not math.isfinite(self.low) and not math.isfinite(self.high):
            return product_rule(self, t.sinh(), t.cosh() * (t[1] - t[0]))
        end, side = (self.low, 1.0) if math.isfinite(self.low) else (self.high, -1.0)
        return product_rule(self, end + side * t.exp(), t.exp() * (t[1] - t[0]))


@dataclass(frozen=True)
class Simplex(Space):
    """Shares: vectors of numbers >= 0 along the last dimension that add up to one.

    Densities are those of all entries but the last one with respect to Lebesgue measure, as for Dirichlet distributions;
    the tangent basis fits that, and is not orthonormal.

    Args:
        shape: Shape of one event, (..., K) with K at least 2.

    Raises:
        SpecError: fewer than two shares.
    """

    def __post_init__(self) -> None:
        """Refuse a simplex of one point."""
        super().__post_init__()
        if not self.shape or self.shape[-1] < 2:
            raise SpecError(f"expected a shape that ends in at least 2 shares, got {self.shape}")

    @property
    def dim(self) -> int:
        """One less than `size` for each vector."""
        return self.size - math.prod(self.shape[:-1])

    @property
    def constraint(self) -> Constraint:
        """A simplex along the last dimension."""
        return constraints.independent(constraints.simplex, len(self.shape) - 1)

    def on_edge(self, x: Tensor) -> Tensor:
        """Return which rows have a share of zero."""
        return ~rows(x > 0)

    @property
    def bounded(self) -> bool:
        """True."""
        return True

    def contains(self, x: Tensor) -> Tensor:
        """Rows of shares >= 0 whose sums are one to rounding."""
        return rows(x >= 0) & rows((x.sum(-1) - 1).abs() < 8 * self.shape[-1] * torch.finfo(x.dtype).eps)

    def nearest(self, x: Tensor) -> Tensor:
        """Negative shares set to zero, and all divided by their sum; the row itself where that lies inside."""
        positive = x.clamp_min(0) + torch.finfo(x.dtype).tiny
        inside = self.contains(x).reshape(-1, *[1] * len(self.shape))
        return torch.where(inside, x, positive / positive.sum(-1, keepdim=True))

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform points."""
        y = -torch.rand(n, *self.shape, dtype=torch.float64).clamp_min(1e-12).log()
        return (y / y.sum(-1, keepdim=True)).to(dtype)

    def another(self, x: Tensor) -> Tensor:
        """Return the points half-way to the corner of the smallest share."""
        corner = torch.nn.functional.one_hot(x.argmin(-1), self.shape[-1]).to(x.dtype)
        return (x + corner) / 2

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return a rule for one vector of two or three shares: x = u, or x = (u, (1 - u) v), for u and v in (0, 1)."""
        if len(self.shape) != 1 or self.shape[-1] > 3:
            return super().quadrature(points)
        cells = 600
        u = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
        if self.shape[-1] == 2:
            return torch.stack([u, 1 - u], 1), torch.full_like(u, 1 / cells)
        first, second = torch.cartesian_prod(u, u).unbind(1)
        second = (1 - first) * second
        return torch.stack([first, second, 1 - first - second], 1), (1 - first) / cells**2

    def tangent(self, x: Tensor) -> Tensor:
        """Return for each entry but the last of its vector the direction of that entry up and the last one down."""
        vectors, k = math.prod(self.shape[:-1]), self.shape[-1]
        one = torch.cat([torch.eye(k - 1, dtype=x.dtype), -torch.ones(1, k - 1, dtype=x.dtype)])
        return torch.block_diag(*[one] * vectors).to(x.device).expand(x.shape[0], -1, -1)


def product_rule(space: Space, axis: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rule that has the same nodes and weights along every axis of a space.

    Raises:
        SpecError: The space has more than two dimensions.
    """
    if space.size > 2:
        raise SpecError(f"expected one or two dimensions to add a density up in, got {space}")
    x = torch.cartesian_prod(*[axis] * space.size).reshape(-1, *space.shape)
    return x, torch.cartesian_prod(*[weight] * space.size).reshape(len(x), -1).prod(1)


def context_space(context: int | Space) -> Space | None:
    """The space of a layer's context, from its length or given as it is; None for length 0."""
    if isinstance(context, Space):
        return context
    return Real((context,)) if context else None


def rows(inside: Tensor) -> Tensor:
    """Return which rows (B,) are true everywhere, of (B, ...)."""
    return inside if inside.dim() == 1 else inside.flatten(1).all(1)
