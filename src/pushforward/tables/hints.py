"""Hints and notes: what is known of the columns of a file before it is read, and remarks on how they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL")
"""Texts that stand for a missing value in a file, where no others are given. An empty field always does."""


class Note(NamedTuple):
    """A remark on how a file or one of its columns was read.

    Args:
        column: Name of the column; empty for the whole file.
        text: The remark, without a full stop.
        left_out: Whether the column was left out.
    """

    column: str
    text: str
    left_out: bool = False

    @property
    def sentence(self) -> str:
        """The remark with the name of its column."""
        return f"{self.column}: {self.text}" if self.column else self.text


@dataclass(frozen=True, kw_only=True)
class Hint:
    """What is known of a column before its file is read.

    Args:
        kind: Kind of its values: "text", "number" or "date"; empty if it is to be found.
        labels: Texts that are labels, although they look like markers of missing values.
        markers: Texts that mark missing values in this column, beside the usual ones.
        format: Format of its dates, as in `datetime.strptime`; empty if it is to be found.
        decimal: Decimal mark of its numbers, "." or ","; empty if it is to be found.
    """

    kind: Literal["", "text", "number", "date"] = ""
    labels: frozenset[str] = frozenset()
    markers: tuple[str, ...] = ()
    format: str = ""
    decimal: str = ""


ANY = Hint()
"""The hint of a column of which nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the entries of a file are understood.

    Args:
        hints: Hints for columns, by name.
        missing: Texts that mark missing values, instead of the usual ones and of those that are found; None for these.
        header: Whether the first line holds the names of the columns; None to find out.
        strict: Whether a column that cannot be used is an error; by default it is left out.
    """

    hints: Mapping[str, Hint] = field(default_factory=dict)
    missing: tuple[str, ...] | None = None
    header: bool | None = None
    strict: bool = False

    def hint(self, name: str) -> Hint:
        """Return the hint for a column."""
        return self.hints.get(name, ANY)

    def markers(self, name: str) -> tuple[str, ...]:
        """Return the texts that mark missing values in a column, without its labels."""
        hint = self.hint(name)
        usual = MISSING if self.missing is None else self.missing
        return tuple(text for text in dict.fromkeys((*usual, *hint.markers)) if text not in hint.labels)

    @property
    def common_markers(self) -> tuple[str, ...]:
        """The texts that mark missing values in every column."""
        labels = frozenset[str]().union(*(hint.labels for hint in self.hints.values()))
        return tuple(
            text for text in (MISSING if self.missing is None else self.missing) if text and text not in labels
        )
