"""Base class of systems on curved spaces: unit vectors and sets of angles."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ..core import Space
from ..errors import SpecError
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class CurvedSpec(Spec, register=False):
    """Base class with the arguments of every system on a curved space.

    Args:
        features: Number of coordinates of a point: the length of a unit vector, or the number of angles in radians.
        context: Length of the context vector; 0 for none.
    """

    sizes: ClassVar[tuple[str, ...]] = ("features", "context")

    features: int
    context: int = 0

    def validate(self) -> None:
        """Check the sizes."""
        super().validate()
        self._at_least("features", 1)
        self._at_least("context", 0)

    @property
    @abc.abstractmethod
    def space(self) -> Space:
        """The curved space."""

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for points (N, features), and a context of vectors (N, C).

        Raises:
            SpecError: The data have another shape, or an argument is out of range.
        """
        shapes = [np.shape(x)] if context is None else [np.shape(x), np.shape(context)]
        if any(len(shape) != 2 for shape in shapes):
            raise SpecError(f"expected points (N, D) and a context (N, C), got shapes {shapes}")
        return cls(features=shapes[0][1], context=shapes[1][1] if context is not None else 0, **fields)
