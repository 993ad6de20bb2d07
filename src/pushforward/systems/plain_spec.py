"""Base class of systems of vectors without a context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ..core import Real
from ..errors import SpecError
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class PlainSpec(Spec, register=False):
    """Base class of systems that model vectors alone, without a context.

    Args:
        features: Number of features D of a vector.
    """

    sizes: ClassVar[tuple[str, ...]] = ("features",)

    features: int

    def validate(self) -> None:
        """Check the number of features."""
        super().validate()
        self._at_least("features", 1)

    @property
    def space(self) -> Real:
        """Space of the vectors."""
        return Real((self.features,))

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for rows of numbers (N, D).

        Raises:
            SpecError: The data have another shape, there is a context, or an argument is out of range.
        """
        shape = np.shape(x)
        if len(shape) != 2:
            raise SpecError(f"expected rows of numbers, of shape (N, D), got shape {shape}")
        if context is not None:
            raise SpecError(f"expected no context, because {cls.name} models rows alone")
        return cls(features=shape[1], **fields)
