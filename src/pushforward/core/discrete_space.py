"""Spaces of whole numbers and of labels."""

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
"""Largest number of states that are added up."""


def states(space: Space, axes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return all combinations of the values along each axis, (N, *shape), with weights of one.

    Raises:
        SpecError: There are too many.
    """
    if math.prod(map(len, axes)) > MOST_STATES:
        raise SpecError(f"expected a space of at most {MOST_STATES:,} states, got {space}")
    x = torch.cartesian_prod(*axes).reshape(-1, *space.shape)
    return x.to(space.event_dtype(torch.float64)), torch.ones(len(x), dtype=torch.float64)


@dataclass(frozen=True)
class Integers(Space):
    """Ordered whole numbers, carried as integer-valued floats so that straight-through gradients can flow.

    Args:
        shape: Shape of one event.
        low: smallest value, None for no bound.
        high: largest value, None for no bound.
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
        """True."""
        return True

    @property
    def bounded(self) -> bool:
        """True: fractions are outside."""
        return True

    @property
    def whole(self) -> bool:
        """True."""
        return True

    @property
    def interval(self) -> tuple[float, float]:
        """The two bounds, infinite where there is none."""
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high

    @property
    def counts(self) -> tuple[int, ...] | None:
        """Number of whole numbers between the bounds, for every entry; None without both bounds."""
        return None if self.low is None or self.high is None else (self.high - self.low + 1,) * self.size

    @property
    def constraint(self) -> Constraint:
        """An interval of whole numbers, or the line without both bounds."""
        if self.low is None or self.high is None:
            return super().constraint
        return constraints.independent(constraints.integer_interval(self.low, self.high), len(self.shape))

    def contains(self, x: Tensor) -> Tensor:
        """Rows of whole numbers between the bounds."""
        return rows(x == self.nearest(x))

    def nearest(self, x: Tensor) -> Tensor:
        """Entries rounded and moved to the nearest bound."""
        x = x.round()
        return x if self.low is None and self.high is None else x.clamp(self.low, self.high)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform points between the bounds, or within 5 of zero."""
        low = self.low if self.low is not None else (-5 if self.high is None else self.high - 10)
        high = self.high if self.high is not None else low + 10
        return torch.randint(low, high + 1, (n, *self.shape)).to(dtype)

    def another(self, x: Tensor) -> Tensor:
        """Return the next numbers, the smallest after the largest."""
        if self.low is None or self.high is None:
            return x + 1 if self.high is None else x - 1
        return self.low + (x - self.low + 1) % (self.high - self.low + 1)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return all points, or those within 40 of zero where there is no bound."""
        low, high = (-40 if self.low is None else self.low), (40 if self.high is None else self.high)
        return states(self, [torch.arange(low, high + 1)] * self.size)


@dataclass(frozen=True)
class Categories(Space):
    """Unordered labels 0 ... classes - 1, carried as int64.

    Args:
        shape: Shape of one event.
        classes: number of labels, at least 1; or, for events of shape (D,), one number for each coordinate.
    """

    classes: int | tuple[int, ...] = 2

    def __post_init__(self) -> None:
        """Refuse a space without labels."""
        super().__post_init__()
        if isinstance(self.classes, tuple) and self.shape != (len(self.classes),):
            raise SpecError(f"expected shape ({len(self.classes)},) for classes={self.classes}, got {self.shape}")
        if min(self.counts, default=1) < 1:
            raise SpecError(f"expected at least one class, got classes={self.classes}")

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of labels of each coordinate, flat."""
        return self.classes if isinstance(self.classes, tuple) else (self.classes,) * self.size

    @property
    def interval(self) -> tuple[float, float]:
        """Zero and the largest label of any coordinate."""
        return 0, max(self.counts, default=1) - 1

    @property
    def constraint(self) -> Constraint:
        """Whole numbers up to the largest label."""
        return constraints.independent(constraints.integer_interval(0, int(self.interval[1])), len(self.shape))

    @property
    def discrete(self) -> bool:
        """True."""
        return True

    @property
    def bounded(self) -> bool:
        """True: other integers are outside."""
        return True

    def event_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """int64, whatever the model's."""
        return torch.int64

    def _limit(self, x: Tensor) -> Tensor:
        return torch.tensor(self.counts, device=x.device).reshape(self.shape)

    def contains(self, x: Tensor) -> Tensor:
        """Rows of labels in range."""
        return rows((x >= 0) & (x < self._limit(x)))

    def nearest(self, x: Tensor) -> Tensor:
        """Labels moved into range."""
        return torch.minimum(x.clamp_min(0), self._limit(x) - 1)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform labels; `dtype` is ignored."""
        limit = torch.tensor(self.counts).reshape(self.shape)
        return (torch.rand(n, *self.shape) * limit).long()

    def another(self, x: Tensor) -> Tensor:
        """Return the next labels, the first after the last."""
        return (x + 1) % self._limit(x)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return all combinations of labels."""
        return states(self, [torch.arange(count) for count in self.counts])


@dataclass(frozen=True)
class OneHot(Space):
    """Unordered labels as one-hot vectors of floats, so that straight-through gradients can flow.

    Args:
        shape: (D, K), K the largest number of labels.
        classes: number of labels of every coordinate; or one number for each.
    """

    classes: int | tuple[int, ...] = 2

    def __post_init__(self) -> None:
        """Refuse numbers of labels that do not fit the shape."""
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
        """True."""
        return True

    @property
    def discrete(self) -> bool:
        """True."""
        return True

    @property
    def bounded(self) -> bool:
        """True: most vectors are not one-hot."""
        return True

    def _allowed(self, x: Tensor) -> Tensor:
        return torch.arange(self.shape[1], device=x.device) < torch.tensor(self.counts, device=x.device)[:, None]

    def contains(self, x: Tensor) -> Tensor:
        """Rows of vectors with a single one, at a label that there is."""
        return rows((x == 0) | ((x == 1) & self._allowed(x))) & rows(x.sum(-1) == 1)

    def nearest(self, x: Tensor) -> Tensor:
        """A one at the largest entry; the vector itself, with its gradient, where that is one-hot already."""
        labels = x.masked_fill(~self._allowed(x), -math.inf).argmax(-1)
        hard = torch.nn.functional.one_hot(labels, self.shape[1]).to(x.dtype)
        return hard + (x - x.detach())

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform labels."""
        labels = (torch.rand(n, self.shape[0]) * torch.tensor(self.counts)).long()
        return torch.nn.functional.one_hot(labels, self.shape[1]).to(dtype)

    def another(self, x: Tensor) -> Tensor:
        """Return the next labels, the first after the last."""
        labels = (x.argmax(-1) + 1) % torch.tensor(self.counts, device=x.device)
        return torch.nn.functional.one_hot(labels, self.shape[1]).to(x.dtype)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return all combinations of labels."""
        labels, weights = Categories((self.shape[0],), self.counts).quadrature(points)
        return torch.nn.functional.one_hot(labels, self.shape[1]).double(), weights
