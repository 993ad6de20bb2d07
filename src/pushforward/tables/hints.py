"""Hints for reading the columns of a file, and notes about the way in which they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL")
"""Texts that mark a missing value in a file by default. An empty field always marks one."""


class Note(NamedTuple):
    """Note about the way in which a file or one of its columns was read.

    Args:
        column: Name of the column; empty for the whole file.
        text: Text of the note, without a full stop.
        left_out: Whether the column was left out.
    """

    column: str
    text: str
    left_out: bool = False

    @property
    def sentence(self) -> str:
        """Text of the note, with the name of its column."""
        return f"{self.column}: {self.text}" if self.column else self.text


@dataclass(frozen=True, kw_only=True)
class Hint:
    """Facts about a column that are known before its file is read.

    Args:
        kind: Kind of the values: "text", "number" or "date"; empty to find it automatically.
        labels: Texts that are labels, although they look like markers of missing values.
        markers: Texts that mark missing values in this column, in addition to the usual ones.
        format: Format of the dates, as in `datetime.strptime`; empty to find it automatically.
        decimal: Decimal mark of the numbers, "." or ","; empty to find it automatically.
    """

    kind: Literal["", "text", "number", "date"] = ""
    labels: frozenset[str] = frozenset()
    markers: tuple[str, ...] = ()
    format: str = ""
    decimal: str = ""


ANY = Hint()
"""Hint for a column about which nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Rules for the interpretation of the entries of a file.

    Args:
        hints: Hints for columns, by name.
        missing: Texts that mark missing values; None for the usual markers and those that are found automatically.
        header: Whether the first line holds the names of the columns; None to find it automatically.
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
        """Texts that mark missing values in every column."""
        labels = frozenset[str]().union(*(hint.labels for hint in self.hints.values()))
        return tuple(
            text for text in (MISSING if self.missing is None else self.missing) if text and text not in labels
        )
