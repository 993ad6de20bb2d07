"""Base class of systems that model whole rows of labels and numbers, and not the numbers given the labels."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..distributions import LabelCoding, Orderless, RowCoding, VectorCoding
from ..errors import SpecError
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class RowSpec(Spec, register=False):
    """Base class of systems of rows that may have labels and numbers together, such as the rows of a table.

    A table model passes the coding of its columns to `over`. Alone, the system models vectors or rows of labels.

    Args:
        features: Number of numbers in a row.
        classes: Number of labels of each entry with labels.
    """

    sizes = ("features", "classes")

    features: int = 0
    classes: tuple[int, ...] = ()

    def validate(self) -> None:
        """Check that a row has entries, and that each entry with labels has at least one label."""
        super().validate()
        self._at_least("features", 0)
        if not self.features and not self.classes:
            raise SpecError(f"expected {self.name}.features or {self.name}.classes, the entries of a row, got none")
        if self.classes and min(self.classes) < 1:
            raise SpecError(f"expected {self.name}.classes to be numbers >= 1, got {self.classes}")

    @abc.abstractmethod
    def over(self, coding: RowCoding) -> Orderless:
        """Return the model of rows with these entries, with fresh parameters."""

    def build(self) -> Orderless:
        """Return the model of vectors, or of rows of labels.

        Raises:
            SpecError: The rows have labels and numbers, which only the model of a table can have.
        """
        if self.features and self.classes:
            raise SpecError(
                f"expected {self.name}.features or {self.name}.classes, got both; rows of numbers and labels are tables, see "
                "pushforward.tables.table_model"
            )
        return self.over(LabelCoding(self.classes) if self.classes else VectorCoding(self.features))

    @classmethod
    def from_data(cls, x: Any, context: Any = None, **fields: Any) -> Self:
        """Return the spec for rows of numbers, or for rows of labels, whole numbers from 0: (N, D).

        Raises:
            SpecError: The data have another shape, or there is a context.
        """
        if context is not None:
            raise SpecError(f"expected no context: {cls.name} models rows without a context")
        rows = np.asarray(x)
        if rows.ndim != 2 or not len(rows):
            raise SpecError(f"expected rows of numbers or labels, of shape (N, D), got shape {rows.shape}")
        if rows.dtype.kind not in "iu":
            return cls(features=rows.shape[1], **fields)
        if rows.min() < 0:
            raise SpecError(f"expected labels from 0, got {rows.min()}")
        return cls(classes=tuple(int(k) + 1 for k in rows.max(0)), **fields)
