"""What systems of labels share."""

from __future__ import annotations

from dataclasses import dataclass

from ..core import Categories
from ..errors import SpecError
from .spec import Spec


@dataclass(frozen=True, kw_only=True)
class LabelSpec(Spec, register=False):
    """The argument of systems that model rows of labels, such as the categorical columns of a table.

    Args:
        classes: number of labels of each coordinate.
    """

    classes: tuple[int, ...]

    def validate(self) -> None:
        """Refuse no coordinates, and coordinates without labels."""
        super().validate()
        self.require_classes()

    def require_classes(self) -> None:
        """Refuse no coordinates, and coordinates without labels."""
        if not self.classes or min(self.classes) < 1:
            raise SpecError(f"expected {self.name}.classes to be numbers >= 1, at least one, got {self.classes}")

    @property
    def space(self) -> Categories:
        """Of the labels."""
        same = len(set(self.classes)) == 1
        return Categories((len(self.classes),), self.classes[0] if same else self.classes)
