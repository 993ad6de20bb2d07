"""Products of spaces: vectors whose first entries are a point of one space, the next ones of another, and so on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint

from ..errors import SpecError
from .space import Space, rows

MOST_POINTS = 200_000
"""Largest number of points of a quadrature over a product."""


@dataclass(frozen=True, init=False)
class Product(Space):
    """Vectors put together from points of several spaces, such as `Product(Torus((2,)), Real((3,)))` for two angles and three
    numbers.

    Densities are with respect to the product of the measures of the parts.

    Args:
        parts: Continuous spaces of vectors, at least one.

    Raises:
        SpecError: A part is discrete, or its events are not vectors.
    """

    parts: tuple[Space, ...]
    shape: tuple[int, ...] = field(init=False)

    def __init__(self, *parts: Space) -> None:
        if not parts:
            raise SpecError("expected at least one space")
        for part in parts:
            if not isinstance(part, Space) or len(part.shape) != 1 or part.discrete:
                raise SpecError(f"expected continuous spaces of vectors, got {part}")
        object.__setattr__(self, "parts", tuple(parts))
        super().__init__((sum(part.size for part in parts),))

    def __repr__(self) -> str:
        return f"Product({', '.join(map(repr, self.parts))})"

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the points of the parts: (B, size) -> (B, size of the part) for each part."""
        return x.split([part.size for part in self.parts], -1)

    @property
    def dim(self) -> int:
        """Sum of the dimensions of the parts."""
        return sum(part.dim for part in self.parts)

    @property
    def bounded(self) -> bool:
        """Whether some vectors lie outside, which is so if it is for one of the parts."""
        return any(part.bounded for part in self.parts)

    @property
    def axes(self) -> tuple[Space, ...]:
        """Space of each entry.

        Raises:
            SpecError: The entries of a part constrain each other.
        """
        return tuple(axis for part in self.parts for axis in part.axes)

    @property
    def angles(self) -> tuple[bool, ...]:
        """Whether each entry is an angle."""
        return tuple(angle for part in self.parts for angle in part.angles)

    @property
    def constraint(self) -> Constraint:
        """Torch constraint: the constraints of the parts, side by side."""
        return constraints.cat([part.constraint for part in self.parts], -1, [part.size for part in self.parts])

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows lie in every part."""
        return self._in_every_part("contains", x)

    def near(self, x: Tensor) -> Tensor:
        """Return which rows lie in every part up to rounding."""
        return self._in_every_part("near", x)

    def on_edge(self, x: Tensor) -> Tensor:
        """Return which rows lie on the boundary of a part."""
        pairs = zip(self.parts, self.split(x), strict=True)
        return torch.stack([part.on_edge(v) for part, v in pairs]).any(0)

    def nearest(self, x: Tensor) -> Tensor:
        """Return the nearest points of the parts."""
        return self._of_parts("nearest", x)

    def another(self, x: Tensor) -> Tensor:
        """Return other points of every part."""
        return self._of_parts("another", x)

    def extreme(self, x: Tensor) -> Tensor:
        """Return extreme points of every part."""
        return self._of_parts("extreme", x)

    def difference(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the differences in every part."""
        both = zip(self.parts, self.split(x), self.split(y), strict=True)
        return torch.cat([part.difference(v, w) for part, v, w in both], -1)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n rows of independent random points of the parts."""
        return torch.cat([part.random(n, dtype) for part in self.parts], 1)

    def tangent(self, x: Tensor) -> Tensor:
        """Return the block-diagonal matrices of the tangent bases of the parts."""
        basis = x.new_zeros(len(x), self.size, self.dim)
        row = column = 0
        for part, v in zip(self.parts, self.split(x), strict=True):
            basis[:, row : row + part.size, column : column + part.dim] = part.tangent(v)
            row, column = row + part.size, column + part.dim
        return basis

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return the product of the rules of the parts, each with few points if there are several.

        Raises:
            SpecError: A part has no rule, or the product would have too many points.
        """
        each = points if len(self.parts) == 1 else int(MOST_POINTS ** (1 / max(self.dim, 1)))
        rules = [part.quadrature(min(points, each)) for part in self.parts]
        if math.prod(len(weights) for _, weights in rules) > 8 * MOST_POINTS:
            raise SpecError(f"expected a space of few dimensions to integrate over, got {self}")
        x, weights = rules[0]
        for other, factor in rules[1:]:
            x = torch.cat([x.repeat_interleave(len(other), 0), other.repeat(len(x), 1)], 1)
            weights = weights.repeat_interleave(len(factor)) * factor.repeat(len(weights))
        return x, weights

    def _in_every_part(self, method: str, x: Tensor) -> Tensor:
        pairs = zip(self.parts, self.split(x), strict=True)
        return rows(torch.stack([getattr(part, method)(v) for part, v in pairs], 1))

    def _of_parts(self, method: str, x: Tensor) -> Tensor:
        pairs = zip(self.parts, self.split(x), strict=True)
        return torch.cat([getattr(part, method)(v) for part, v in pairs], -1)


def product_of(spaces: Sequence[Space]) -> Space:
    """Return the product of spaces of vectors; neighbours of the same kind become one part, and a single part stays itself."""
    merged: list[Space] = []
    for space in spaces:
        if merged and (joined := merged[-1].joined(space)) is not None:
            merged[-1] = joined
        else:
            merged.append(space)
    return merged[0] if len(merged) == 1 else Product(*merged)
