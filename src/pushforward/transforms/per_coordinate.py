"""Scalar maps of spaces whose coordinates are of different kinds: each coordinate has a map of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from ..core import Space
from ..errors import SpecError
from .scalar import Scalar


@dataclass(frozen=True)
class PerCoordinate:
    """Scalar map that is another one for each coordinate of a vector, such as a spline on the line and one on the circle.

    Args:
        maps: Map of each coordinate.
        width: Number of parameters that every coordinate has; a map uses the first ones. 0 for the largest number needed.

    Raises:
        SpecError: There is no map, or a map needs more parameters.
    """

    maps: tuple[Scalar, ...]
    width: int = 0
    groups: dict[Scalar, list[int]] = field(init=False, compare=False, repr=False)
    """Coordinates with the same map, which are computed together."""

    def __post_init__(self) -> None:
        """Check the number of parameters, and group the coordinates."""
        object.__setattr__(self, "maps", tuple(self.maps))
        most = max([scalar.n for scalar in self.maps] or [0])
        if not self.maps or 0 < self.width < most:
            raise SpecError(
                f"expected maps with at most {self.width} parameters, got {len(self.maps)} with up to {most}"
            )
        groups: dict[Scalar, list[int]] = {}
        for i, scalar in enumerate(self.maps):
            groups.setdefault(scalar, []).append(i)
        object.__setattr__(self, "groups", groups)

    @property
    def n(self) -> int:
        """Number of parameters of a coordinate."""
        return self.width or max(scalar.n for scalar in self.maps)

    @property
    def numeric_inverse(self) -> bool:
        """Whether a map has a numeric inverse."""
        return any(scalar.numeric_inverse for scalar in self.maps)

    def check(self, space: Space) -> None:
        """Check each map with the space of its coordinate.

        Raises:
            SpecError: The number of coordinates differs, or a map rejects the space of its coordinate.
        """
        axes = space.axes
        if len(axes) != len(self.maps):
            raise SpecError(f"expected a map for each coordinate of {space}, got {len(self.maps)}")
        for scalar, axis in zip(self.maps, axes, strict=True):
            scalar.check(axis)

    def part(self, which: int | Sequence[int]) -> Self:
        """Return the maps of one coordinate, or of some of them."""
        chosen = [which] if isinstance(which, int) else which
        return type(self)(tuple(self.maps[i] for i in chosen), self.n)

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images and the log-slopes: x (..., D) and p (..., D, n), or (...) and (..., n) for one coordinate."""
        return self._apply(lambda scalar, v, q: scalar.forward(v, q), x, p)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverse images and the log-slopes of the inverse maps, of the same shapes."""
        return self._apply(lambda scalar, v, q: scalar.inverse(v, q), z, p)

    def _apply(
        self, run: Callable[[Scalar, Tensor, Tensor], tuple[Tensor, Tensor]], v: Tensor, p: Tensor
    ) -> tuple[Tensor, Tensor]:
        if len(self.groups) == 1:
            scalar = self.maps[0]
            return run(scalar, v, p[..., : scalar.n])
        images, slopes = [], []
        for scalar, at in self.groups.items():
            index = torch.tensor(at, device=v.device)
            image, slope = run(scalar, v.index_select(-1, index), p.index_select(-2, index)[..., : scalar.n])
            images.append(image)
            slopes.append(slope)
        back = torch.tensor([i for at in self.groups.values() for i in at], device=v.device).argsort()
        return torch.cat(images, -1).index_select(-1, back), torch.cat(slopes, -1).index_select(-1, back)
