"""Event spaces: shape, dtype, support, tangent basis and quadrature of one event."""

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
    """Set of values that one event can take. Two layers can be chained when their spaces are equal.

    Args:
        shape: Shape of one event, without batch dimensions; a whole number n stands for (n,).
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Store the shape as a tuple, (n,) for a number n, and check that it consists of whole numbers."""
        shape: object = self.shape
        object.__setattr__(self, "shape", (shape,) if isinstance(shape, int) else tuple(self.shape))
        if any(not isinstance(s, int) or s < 0 for s in self.shape):
            raise SpecError(f"expected a shape of whole numbers >= 0, got {self.shape}")

    @property
    def size(self) -> int:
        """Number of entries in one event."""
        return math.prod(self.shape)

    def bits(self, logp: Any) -> Any:
        """Return bits per dimension, -logp / (size log 2), of log-probabilities in nats; for densities they depend on units."""
        return -logp / (max(1, self.size) * math.log(2))

    @property
    def dim(self) -> int:
        """Dimension of the tangent space: `size`, unless the space is curved."""
        return self.size

    @property
    def discrete(self) -> bool:
        """Whether `log_prob` is the log of a probability, and not of a density."""
        return False

    @property
    def whole(self) -> bool:
        """Whether entries are whole numbers stored as floats, which are exact only up to a limit."""
        return False

    def event_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """Return the dtype of events in a model whose parameters have the floating-point dtype `dtype`."""
        return dtype

    @property
    def bounded(self) -> bool:
        """Whether some values of the right shape and dtype lie outside the space."""
        return False

    def finite(self, x: Tensor) -> Tensor:
        """Return which entries are allowed: the finite ones; spaces of table rows also allow NaN for a missing value."""
        return x.isfinite()

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows of a flat batch lie in the space: (B, *shape) -> (B,) of bool."""
        return rows(x.isfinite())

    def nearest(self, x: Tensor) -> Tensor:
        """Return a point of the space for each row: the row itself if it lies inside."""
        return x

    def near(self, x: Tensor) -> Tensor:
        """Return which rows lie in the space up to a relative error of 1e-3, from rounding: (B, *shape) -> (B,) of bool."""
        return rows((x - self.nearest(x)).abs() <= 1e-3 * x.abs().clamp_min(1))

    @abc.abstractmethod
    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n points of the space, (n, *shape), for tests of the layer laws and for tracing."""

    def another(self, x: Tensor) -> Tensor:
        """Return, for each point, a clearly different point of the space: (B, *shape) -> (B, *shape)."""
        return self.random(len(x), x.dtype).to(x)

    def extreme(self, x: Tensor) -> Tensor:
        """Return points of the space at which a formula may fail: far out, near a cut or near a pole; by default x itself."""
        return x

    def difference(self, x: Tensor, y: Tensor) -> Tensor:
        """Return x - y; for angles the shorter way around."""
        return x - y

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return points (N, *shape) and weights (N,) of a rule that integrates over the space, both in float64.

        On discrete spaces the weights are one. On unbounded spaces the points reach about 70 from the origin.

        Args:
            points: Number of points along an unbounded axis.

        Raises:
            SpecError: The space has no rule, because it has too many dimensions or states.
        """
        raise SpecError(f"expected a space over which a density can be integrated, got {self}")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Smallest and largest value of an entry, where entries do not constrain each other; None where they do."""
        return None

    @property
    def axes(self) -> tuple[Space, ...]:
        """Space of each entry of a vector, as vectors of length one.

        Raises:
            SpecError: The entries constrain each other, or events are not vectors.
        """
        raise SpecError(f"expected a space of vectors whose entries do not constrain each other, got {self}")

    @property
    def angles(self) -> tuple[bool, ...]:
        """Whether each entry is an angle, which networks see as its cosine and sine."""
        return (False,) * self.size

    def joined(self, other: Space) -> Space | None:
        """Return the space of vectors of this space followed by those of the other, if they are of one kind; or None."""
        return None

    @property
    def counts(self) -> tuple[int, ...] | None:
        """Number of values of each entry, flattened; None where an entry has infinitely many values."""
        return None

    @property
    def one_hot(self) -> bool:
        """Whether events are labels stored as one-hot vectors."""
        return False

    @property
    def constraint(self) -> Constraint:
        """The `torch.distributions` constraint that comes closest to the space."""
        return constraints.independent(constraints.real, len(self.shape))

    def on_edge(self, x: Tensor) -> Tensor:
        """Return which rows lie on the boundary of the space: (B, *shape) -> (B,) of bool."""
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)

    def edges(self) -> list[float]:
        """Return values of an entry at which a map may fail: bounds, knots, zero. Tests evaluate layers there."""
        return []

    def tangent(self, x: Tensor) -> Tensor:
        """Return an orthonormal basis of the tangent space at each point: (B, *shape) -> (B, size, dim)."""
        return torch.eye(self.size, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)

    def frame(self, x: Tensor) -> Tensor:
        """Return `tangent(x)`; deprecated name."""
        warnings.warn("Space.frame is called Space.tangent now", DeprecationWarning, stacklevel=2)
        return self.tangent(x)


@dataclass(frozen=True)
class Real(Space):
    """Real arrays of a fixed shape; densities with respect to Lebesgue measure."""

    @property
    def interval(self) -> tuple[float, float]:
        """Minus infinity and infinity."""
        return -math.inf, math.inf

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n standard normal points."""
        return torch.randn(n, *self.shape, dtype=dtype)

    @property
    def axes(self) -> tuple[Space, ...]:
        """The real line for each entry of a vector."""
        return (Real((1,)),) * self.size if len(self.shape) == 1 else super().axes

    def joined(self, other: Space) -> Space | None:
        """Return the vectors of both lengths together, if the other space has real vectors, too."""
        return Real((self.size + other.size,)) if type(other) is Real else None

    def extreme(self, x: Tensor) -> Tensor:
        """Return 6 x, beyond the bounds of splines and in the tails of mixtures."""
        return 6 * x

    def edges(self) -> list[float]:
        """Return zero and the usual bounds and knots of splines."""
        return [0.0, 1.0, -1.0, 3.0, -3.0, 4.0, -4.0, 5.0, -5.0]

    def another(self, x: Tensor) -> Tensor:
        """Return x + 1."""
        return x + 1

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return a rule for one or two dimensions, with nodes x = sinh(t) at equal steps of t."""
        # dx = cosh(t) dt. The nodes lie dense near zero and reach sinh(5) = 74, so narrow and wide densities both fit.
        t = torch.linspace(-5, 5, points, dtype=torch.float64)
        return product_rule(self, t.sinh(), t.cosh() * (t[1] - t[0]))


@dataclass(frozen=True)
class Box(Space):
    """Real arrays with every entry in [low, high]; a bound may be infinite.

    Args:
        shape: Shape of one event.
        low: Smallest value of an entry.
        high: Largest value of an entry.

    Raises:
        SpecError: The bounds do not satisfy low < high.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check that low < high."""
        super().__post_init__()
        if not self.low < self.high:
            raise SpecError(f"expected low < high, got low={self.low}, high={self.high}")

    @property
    def bounded(self) -> bool:
        """Whether some numbers lie outside: True."""
        return True

    @property
    def interval(self) -> tuple[float, float]:
        """The bounds, low and high."""
        return self.low, self.high

    @property
    def axes(self) -> tuple[Space, ...]:
        """The interval for each entry of a vector."""
        return (Box((1,), self.low, self.high),) * self.size if len(self.shape) == 1 else super().axes

    def joined(self, other: Space) -> Space | None:
        """Return the vectors of both lengths together, if the other box has the same bounds."""
        fits = isinstance(other, Box) and (self.low, self.high) == (other.low, other.high)
        return Box((self.size + other.size,), self.low, self.high) if fits else None

    @property
    def constraint(self) -> Constraint:
        """Torch constraint: an interval, a half-line or the real line for every entry."""
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
        """Return which rows have every entry in [low, high]."""
        return rows((x >= self.low) & (x <= self.high))

    def nearest(self, x: Tensor) -> Tensor:
        """Return x with entries outside moved to the nearest bound."""
        return x.clamp(self.low, self.high)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n points inside the box, at least 1 % of the width (0.01 for a half-line) away from the bounds."""
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
        """Return x moved by half of the width, modulo the width; if a bound is infinite, x moved by one away from the other."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return self.low + (x - self.low + (self.high - self.low) / 2) % (self.high - self.low)
        return x + 1 if self.high == math.inf else x - 1

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return a rule for one or two dimensions: equal cells between two bounds, x = low + exp(t - e^-t) on a half-line."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            cells = min(600, 2 * points)
            width = (self.high - self.low) / cells
            axis = self.low + (torch.arange(cells, dtype=torch.float64) + 0.5) * width
            return product_rule(self, axis, torch.full_like(axis, width))
        if not math.isfinite(self.low) and not math.isfinite(self.high):
            t = torch.linspace(-5, 5, points, dtype=torch.float64)
            return product_rule(self, t.sinh(), t.cosh() * (t[1] - t[0]))
        # The distance to the end tends to zero doubly exponentially, so a density that is positive there loses no mass.
        t = torch.linspace(-3, 5, points, dtype=torch.float64)
        distance = (t - (-t).exp()).exp()
        end, side = (self.low, 1.0) if math.isfinite(self.low) else (self.high, -1.0)
        return product_rule(self, end + side * distance, distance * (1 + (-t).exp()) * (t[1] - t[0]))


def product_rule(space: Space, axis: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the product rule with the same nodes and weights along every axis of a space.

    Raises:
        SpecError: The space has more than two dimensions.
    """
    if space.size > 2:
        raise SpecError(f"expected a space of one or two dimensions to integrate over, got {space}")
    x = torch.cartesian_prod(*[axis] * space.size).reshape(-1, *space.shape)
    return x, torch.cartesian_prod(*[weight] * space.size).reshape(len(x), -1).prod(1)


def context_space(context: int | Space) -> Space | None:
    """Return the space of a context: real vectors for a length, None for length 0, a Space unchanged."""
    if isinstance(context, Space):
        return context
    return Real((context,)) if context else None


def rows(inside: Tensor) -> Tensor:
    """Return which rows of a tensor (B, ...) of bool are true everywhere: (B,)."""
    return inside if inside.dim() == 1 else inside.flatten(1).all(1)
