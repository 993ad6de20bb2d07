"""Base class of systems of labels: rows of whole numbers that stand for categories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..core import Categories
from ..errors import SpecError
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class LabelSpec(Spec, register=False):
    """Base class of systems that model rows of labels, such as the categorical columns of a table.

    Args:
        classes: Number of labels of each coordinate.
    """

    sizes = ("classes",)
    models_labels = True

    classes: tuple[int, ...]

    def validate(self) -> None:
        """Check that there are coordinates, each with at least one label."""
        super().validate()
        self.require_classes()

    def require_classes(self) -> None:
        """Check that there are coordinates, each with at least one label."""
        if not self.classes or min(self.classes) < 1:
            raise SpecError(f"expected {self.name}.classes to be numbers >= 1, at least one, got {self.classes}")

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for rows of labels (N, D), whole numbers from 0; a column's largest value is its last label.

        Raises:
            SpecError: The data have another shape, or there is a context.
        """
        labels = np.asarray(x)
        if context is not None:
            raise SpecError(f"expected no context: {cls.name} models labels without a context")
        if labels.ndim != 2 or labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0:
            raise SpecError(f"expected rows of whole numbers from 0, got {labels.dtype} of shape {labels.shape}")
        return cls(classes=tuple(int(k) + 1 for k in labels.max(0)), **fields)

    @classmethod
    def label_sizes(cls, counts: tuple[int, ...]) -> dict[str, Any]:
        """Return the argument `classes` for the number of labels of each column."""
        return {"classes": counts}

    @property
    def space(self) -> Categories:
        """Space of the labels."""
        same = len(set(self.classes)) == 1
        return Categories((len(self.classes),), self.classes[0] if same else self.classes)
