"""Event spaces: the shape, kind of number, support and tangent frame of one event."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import SpecError


@dataclass(frozen=True)
class Space(abc.ABC):
    """Where one event lives. Two layers can be chained when their spaces are equal.

    Args:
        shape: of one event, without batch dimensions.
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
        return _rows(x.isfinite())

    def nearest(self, x: Tensor) -> Tensor:
        """Some point of the space for each row, equal to the row where that lies inside."""
        return x

    @abc.abstractmethod
    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Any n points of the space, for the laws and for tracing: (n, *shape)."""

    def frame(self, x: Tensor) -> Tensor:
        """An orthonormal basis of the tangent space at each point: (B, *shape) -> (B, size, dim)."""
        return torch.eye(self.size, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)


@dataclass(frozen=True)
class Real(Space):
    """All real arrays of a shape; densities with respect to Lebesgue measure."""

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal points."""
        return torch.randn(n, *self.shape, dtype=dtype)


@dataclass(frozen=True)
class Box(Space):
    """Real arrays with every entry in [low, high]; either bound may be infinite.

    Args:
        shape: of one event.
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

    def contains(self, x: Tensor) -> Tensor:
        """Rows with every entry in [low, high]."""
        return _rows((x >= self.low) & (x <= self.high))

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


@dataclass(frozen=True)
class Integers(Space):
    """Ordered whole numbers, carried as integer-valued floats so that straight-through gradients can flow.

    Args:
        shape: of one event.
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

    def contains(self, x: Tensor) -> Tensor:
        """Rows of whole numbers between the bounds."""
        return _rows(x == self.nearest(x))

    def nearest(self, x: Tensor) -> Tensor:
        """Entries rounded and moved to the nearest bound."""
        x = x.round()
        return x if self.low is None and self.high is None else x.clamp(self.low, self.high)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform points between the bounds, or within 5 of zero."""
        low = self.low if self.low is not None else (-5 if self.high is None else self.high - 10)
        high = self.high if self.high is not None else low + 10
        return torch.randint(low, high + 1, (n, *self.shape)).to(dtype)


@dataclass(frozen=True)
class Categories(Space):
    """Unordered labels 0 ... classes - 1, carried as int64.

    Args:
        shape: of one event.
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
        return _rows((x >= 0) & (x < self._limit(x)))

    def nearest(self, x: Tensor) -> Tensor:
        """Labels moved into range."""
        return torch.minimum(x.clamp_min(0), self._limit(x) - 1)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform labels; `dtype` is ignored."""
        limit = torch.tensor(self.counts).reshape(self.shape)
        return (torch.rand(n, *self.shape) * limit).long()


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
        if len(self.shape) != 2 or len(self.counts) != self.shape[0] or max(self.counts, default=0) != self.shape[1]:
            raise SpecError(f"expected a shape (D, K), K labels at most, for classes={self.classes}, got {self.shape}")
        if min(self.counts) < 1:
            raise SpecError(f"expected at least one class, got classes={self.classes}")

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of labels of each coordinate."""
        return self.classes if isinstance(self.classes, tuple) else (self.classes,) * self.shape[0]

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
        return _rows((x == 0) | ((x == 1) & self._allowed(x))) & _rows(x.sum(-1) == 1)

    def nearest(self, x: Tensor) -> Tensor:
        """A one at the largest entry; the vector itself, with its gradient, where that is one-hot already."""
        labels = x.masked_fill(~self._allowed(x), -math.inf).argmax(-1)
        hard = torch.nn.functional.one_hot(labels, self.shape[1]).to(x.dtype)
        return hard + (x - x.detach())

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform labels."""
        labels = (torch.rand(n, self.shape[0]) * torch.tensor(self.counts)).long()
        return torch.nn.functional.one_hot(labels, self.shape[1]).to(dtype)


@dataclass(frozen=True)
class Simplex(Space):
    """Shares: vectors of numbers >= 0 along the last dimension that add up to one.

    Densities are those of all entries but the last one with respect to Lebesgue measure, as for Dirichlet distributions;
    the frame fits that, and is not orthonormal.

    Args:
        shape: of one event, (..., K) with K at least 2.

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
    def bounded(self) -> bool:
        """True."""
        return True

    def contains(self, x: Tensor) -> Tensor:
        """Rows of shares >= 0 whose sums are one to rounding."""
        return _rows(x >= 0) & _rows((x.sum(-1) - 1).abs() < 8 * self.shape[-1] * torch.finfo(x.dtype).eps)

    def nearest(self, x: Tensor) -> Tensor:
        """Negative shares set to zero, and all divided by their sum; the row itself where that lies inside."""
        positive = x.clamp_min(0) + torch.finfo(x.dtype).tiny
        inside = self.contains(x).reshape(-1, *[1] * len(self.shape))
        return torch.where(inside, x, positive / positive.sum(-1, keepdim=True))

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform points."""
        y = -torch.rand(n, *self.shape, dtype=torch.float64).clamp_min(1e-12).log()
        return (y / y.sum(-1, keepdim=True)).to(dtype)

    def frame(self, x: Tensor) -> Tensor:
        """For each entry but the last of its vector, that entry up and the last one down."""
        vectors, k = math.prod(self.shape[:-1]), self.shape[-1]
        one = torch.cat([torch.eye(k - 1, dtype=x.dtype), -torch.ones(1, k - 1, dtype=x.dtype)])
        return torch.block_diag(*[one] * vectors).to(x.device).expand(x.shape[0], -1, -1)


def context_space(context: int | Space) -> Space | None:
    """The space of a layer's context, from its length or given as it is; None for length 0."""
    if isinstance(context, Space):
        return context
    return Real((context,)) if context else None


def _rows(inside: Tensor) -> Tensor:
    return inside if inside.dim() == 1 else inside.flatten(1).all(1)
