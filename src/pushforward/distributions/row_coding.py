"""Coding of the rows of an any-order model: what the entries of a row are, and how a network sees them."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core import Categories, Real, Space
from ..errors import SpecError
from ..recording import Recorded


@dataclass(frozen=True)
class Entries:
    """Entries of rows in the form in which a model scores them.

    An entry has a discrete fact, a number, or both. For an entry with a number, fact 0 means an ordinary number, and the other
    facts are single values with a probability of their own. For an entry without a number, the fact is its label. The tensors
    about numbers have N columns, one for each entry with a number.

    Args:
        facts: Discrete facts, (B, F), one column for each entry with more than one fact.
        numbers: Numbers as the network sees them, (B, N); 0 where the entry has no number.
        slopes: Logarithms of the derivatives of these numbers with respect to the values of the row, (B, N); 0 for whole
            numbers.
        valued: Mask (B, N) of the numbers that the distribution of the numbers can give. A spike of a column of whole numbers
            is one of them; a spike among continuous numbers has density zero.
        lower: Lower ends of the cells that are rounded to the whole numbers, (B, N); 0 for continuous numbers.
        upper: Upper ends of these cells, (B, N).
        width: Differences of the ends, (B, N), computed in float64.
        asked: Mask (B, D) of the entries that are given; None if all are. The other entries are left out.
    """

    facts: Tensor
    numbers: Tensor
    slopes: Tensor
    valued: Tensor
    lower: Tensor
    upper: Tensor
    width: Tensor
    asked: Tensor | None = None

    def rows(self, index: Tensor) -> Entries:
        """Return some of the rows."""
        asked = None if self.asked is None else self.asked[index]
        parts = {name: value[index] for name, value in vars(self).items() if name != "asked"}
        return Entries(**parts, asked=asked)


class RowCoding(Recorded, nn.Module, abc.ABC):
    """Description of the entries of a row, and the maps between rows and `Entries`; base class.

    Attributes:
        space: Space of the rows.
        counts: Number of discrete facts of each entry, 1 for an entry with a number only.
        numeric: Whether each entry can have a number.
        whole: Whether these numbers are whole numbers.
        missing: Whether the last fact of each entry means that the value is missing.
        places: Index of each entry in a row.
    """

    space: Space
    counts: tuple[int, ...]
    numeric: tuple[bool, ...]
    whole: tuple[bool, ...]
    missing: tuple[bool, ...]
    places: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of entries D."""
        return len(self.counts)

    @property
    def with_facts(self) -> list[int]:
        """Indices of the entries with more than one fact."""
        return [i for i, count in enumerate(self.counts) if count > 1]

    @property
    def with_numbers(self) -> list[int]:
        """Indices of the entries that can have a number."""
        return [i for i, numeric in enumerate(self.numeric) if numeric]

    @abc.abstractmethod
    def split(self, x: Tensor, dtype: torch.dtype) -> Entries:
        """Return the entries of rows, with codes in the dtype of the network."""

    def asked(self, x: Tensor) -> Tensor | None:
        """Return a mask (B, D) of the entries of rows that are given; None if all are."""
        return None

    @abc.abstractmethod
    def blank(self, n: int, like: Tensor) -> Tensor:
        """Return n rows to be filled, on the device of a tensor."""

    @abc.abstractmethod
    def values(self, entry: int, fact: Tensor, number: Tensor) -> Tensor:
        """Return the values of an entry in rows, (B,), from its drawn facts (B,) and numbers (B,)."""


class VectorCoding(RowCoding):
    """Coding of vectors of real numbers, whose entries are their coordinates.

    Args:
        features: Number of coordinates.

    Raises:
        SpecError: There are none.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        if features < 1:
            raise SpecError(f"expected at least one feature, got {features}")
        self.space = Real((features,))
        self.counts, self.numeric = (1,) * features, (True,) * features
        self.whole, self.missing = (False,) * features, (False,) * features
        self.places = tuple(range(features))

    def split(self, x: Tensor, dtype: torch.dtype) -> Entries:
        """Return the coordinates as numbers."""
        zeros = torch.zeros_like(x)
        facts = torch.zeros(x.shape[0], 0, dtype=torch.long, device=x.device)
        return Entries(facts, x, zeros, torch.ones_like(x, dtype=torch.bool), zeros, zeros, zeros)

    def blank(self, n: int, like: Tensor) -> Tensor:
        """Return vectors of zeros."""
        return like.new_zeros(n, self.size)

    def values(self, entry: int, fact: Tensor, number: Tensor) -> Tensor:
        """Return the numbers."""
        return number


class LabelCoding(RowCoding):
    """Coding of rows of labels.

    Args:
        classes: Number of labels of each coordinate.

    Raises:
        SpecError: There are no coordinates, or one has no labels.
    """

    def __init__(self, classes: tuple[int, ...]) -> None:
        super().__init__()
        if not classes or min(classes) < 1:
            raise SpecError(f"expected at least one coordinate, each with at least one label, got {classes}")
        self.space = Categories((len(classes),), classes[0] if len(set(classes)) == 1 else tuple(classes))
        self.counts = tuple(classes)
        self.numeric = self.whole = self.missing = (False,) * len(classes)
        self.places = tuple(range(len(classes)))

    def split(self, x: Tensor, dtype: torch.dtype) -> Entries:
        """Return the labels as facts."""
        varying = torch.tensor([i for i, count in enumerate(self.counts) if count > 1], device=x.device)
        none = torch.zeros(x.shape[0], 0, dtype=dtype, device=x.device)
        return Entries(x.long().index_select(1, varying.long()), none, none, none.bool(), none, none, none)

    def blank(self, n: int, like: Tensor) -> Tensor:
        """Return rows of the first labels."""
        return torch.zeros(n, self.size, dtype=torch.long, device=like.device)

    def values(self, entry: int, fact: Tensor, number: Tensor) -> Tensor:
        """Return the labels."""
        return fact
