"""Spaces of whole numbers and of categorical labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint

from ..errors import SpecError
from .space import Space, rows

MOST_STATES = 300_000
"""Largest number of states over which a sum is computed."""


def states(space: Space, axes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return all combinations of the values along each axis, (N, *shape), and weights of one, (N,).

    Raises:
        SpecError: There are more than `MOST_STATES` combinations.
    """
    if math.prod(map(len, axes)) > MOST_STATES:
        raise SpecError(f"expected a space of at most {MOST_STATES:,} states, got {space}")
    x = torch.cartesian_prod(*axes).reshape(-1, *space.shape)
    return x.to(space.event_dtype(torch.float64)), torch.ones(len(x), dtype=torch.float64)


@dataclass(frozen=True)
class Integers(Space):
    """Ordered whole numbers, stored as floats with integer values so that straight-through gradients can flow.

    Args:
        shape: Shape of one event.
        low: Smallest value; None for no bound.
        high: Largest value; None for no bound.
    """

    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        super().__post_init__()
        if self.low is not None and self.high is not None and self.low > self.high:
            raise SpecError(f"expected low <= high, got low={self.low}, high={self.high}")

    @property
    def discrete(self) -> bool:
        """Whether the space is discrete: True."""
        return True

    @property
    def bounded(self) -> bool:
        """Whether some numbers lie outside: True, all fractions do."""
        return True

    @property
    def whole(self) -> bool:
        """Whether entries are whole numbers: True."""
        return True

    @property
    def interval(self) -> tuple[float, float]:
        """The smallest and the largest value; infinite where there is no bound."""
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high

    @property
    def counts(self) -> tuple[int, ...] | None:
        """Number of whole numbers between the bounds, for every entry; None without both bounds."""
        return None if self.low is None or self.high is None else (self.high - self.low + 1,) * self.size

    @property
    def constraint(self) -> Constraint:
        """Torch constraint: an interval of integers, or the real line unless both bounds are given."""
        if self.low is None or self.high is None:
            return super().constraint
        return constraints.independent(constraints.integer_interval(self.low, self.high), len(self.shape))

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows hold only whole numbers between the bounds."""
        return rows(x == self.nearest(x))

    def nearest(self, x: Tensor) -> Tensor:
        """Return the entries, rounded and moved to the nearest bound."""
        x = x.round()
        return x if self.low is None and self.high is None else x.clamp(self.low, self.high)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n uniformly distributed events between the bounds, or within a range of 10 where a bound is missing."""
        low = self.low if self.low is not None else (-5 if self.high is None else self.high - 10)
        high = self.high if self.high is not None else low + 10
        return torch.randint(low, high + 1, (n, *self.shape)).to(dtype)

    def another(self, x: Tensor) -> Tensor:
        """Return x + 1, where the largest value is followed by the smallest."""
        if self.low is None or self.high is None:
            return x + 1 if self.high is None else x - 1
        return self.low + (x - self.low + 1) % (self.high - self.low + 1)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return all points, with -40 and 40 in place of missing bounds, and weights of one."""
        low, high = (-40 if self.low is None else self.low), (40 if self.high is None else self.high)
        return states(self, [torch.arange(low, high + 1)] * self.size)


@dataclass(frozen=True)
class Categories(Space):
    """Unordered labels 0 ... classes - 1, stored as int64.

    Args:
        shape: Shape of one event.
        classes: Number of labels, at least 1; for events of shape (D,), also a tuple with one number per coordinate.
    """

    classes: int | tuple[int, ...] = 2

    def __post_init__(self) -> None:
        """Check that every coordinate has at least one label and that the shape fits."""
        super().__post_init__()
        if isinstance(self.classes, tuple) and self.shape != (len(self.classes),):
            raise SpecError(f"expected shape ({len(self.classes)},) for classes={self.classes}, got {self.shape}")
        if min(self.counts, default=1) < 1:
            raise SpecError(f"expected at least one class, got classes={self.classes}")

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of labels of each coordinate, flattened."""
        return self.classes if isinstance(self.classes, tuple) else (self.classes,) * self.size

    @property
    def interval(self) -> tuple[float, float]:
        """Zero and the largest label of all coordinates."""
        return 0, max(self.counts, default=1) - 1

    @property
    def constraint(self) -> Constraint:
        """Torch constraint: integers from 0 to the largest label."""
        return constraints.independent(constraints.integer_interval(0, int(self.interval[1])), len(self.shape))

    @property
    def discrete(self) -> bool:
        """Whether the space is discrete: True."""
        return True

    @property
    def bounded(self) -> bool:
        """Whether some integers lie outside: True."""
        return True

    def event_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """Return int64, for every dtype of the model."""
        return torch.int64

    def _limit(self, x: Tensor) -> Tensor:
        return torch.tensor(self.counts, device=x.device).reshape(self.shape)

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows hold only labels in range."""
        return rows((x >= 0) & (x < self._limit(x)))

    def nearest(self, x: Tensor) -> Tensor:
        """Return the labels, moved into range."""
        return torch.minimum(x.clamp_min(0), self._limit(x) - 1)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n events of uniformly distributed labels; `dtype` is ignored."""
        limit = torch.tensor(self.counts).reshape(self.shape)
        return (torch.rand(n, *self.shape) * limit).long()

    def another(self, x: Tensor) -> Tensor:
        """Return x + 1, where the last label is followed by the first."""
        return (x + 1) % self._limit(x)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return all combinations of labels, with weights of one."""
        return states(self, [torch.arange(count) for count in self.counts])


@dataclass(frozen=True)
class OneHot(Space):
    """Unordered labels as one-hot vectors of floats, which let straight-through gradients flow.

    Args:
        shape: Shape of one event, (D, K): D coordinates, K the largest number of labels.
        classes: Number of labels of every coordinate, or a tuple with one number per coordinate.
    """

    classes: int | tuple[int, ...] = 2

    def __post_init__(self) -> None:
        """Check that the numbers of labels fit the shape."""
        super().__post_init__()
        if isinstance(self.classes, tuple) and len(set(self.classes)) == 1 and len(self.classes) == self.shape[0]:
            object.__setattr__(self, "classes", self.classes[0])
        if len(self.shape) != 2 or len(self.counts) != self.shape[0] or max(self.counts, default=0) != self.shape[1]:
            raise SpecError(f"expected a shape (D, K), K labels at most, for classes={self.classes}, got {self.shape}")
        if min(self.counts) < 1:
            raise SpecError(f"expected at least one class, got classes={self.classes}")

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of labels of each coordinate."""
        return self.classes if isinstance(self.classes, tuple) else (self.classes,) * self.shape[0]

    @property
    def one_hot(self) -> bool:
        """Whether events are one-hot vectors: True."""
        return True

    @property
    def discrete(self) -> bool:
        """Whether the space is discrete: True."""
        return True

    @property
    def bounded(self) -> bool:
        """Whether some vectors lie outside: True, most are not one-hot."""
        return True

    def _allowed(self, x: Tensor) -> Tensor:
        return torch.arange(self.shape[1], device=x.device) < torch.tensor(self.counts, device=x.device)[:, None]

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows consist of one-hot vectors whose label is in range."""
        return rows((x == 0) | ((x == 1) & self._allowed(x))) & rows(x.sum(-1) == 1)

    def nearest(self, x: Tensor) -> Tensor:
        """Return the one-hot vector of the largest allowed entry; its gradient is that of x (straight-through)."""
        labels = x.masked_fill(~self._allowed(x), -math.inf).argmax(-1)
        hard = torch.nn.functional.one_hot(labels, self.shape[1]).to(x.dtype)
        # The bracket is zero in value and the identity in the gradient: the straight-through estimator.
        return hard + (x - x.detach())

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n events of uniformly distributed labels."""
        labels = (torch.rand(n, self.shape[0]) * torch.tensor(self.counts)).long()
        return torch.nn.functional.one_hot(labels, self.shape[1]).to(dtype)

    def another(self, x: Tensor) -> Tensor:
        """Return the next label of each coordinate, where the last is followed by the first."""
        labels = (x.argmax(-1) + 1) % torch.tensor(self.counts, device=x.device)
        return torch.nn.functional.one_hot(labels, self.shape[1]).to(x.dtype)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return all combinations of labels, with weights of one."""
        labels, weights = Categories((self.shape[0],), self.counts).quadrature(points)
        return torch.nn.functional.one_hot(labels, self.shape[1]).double(), weights
