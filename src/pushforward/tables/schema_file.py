"""Schema files in TOML with the kinds, bounds, markers and formats of columns, written from a table and read by `fit`."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, FileError, brief, shortened
from ..output import reason
from .hints import MISSING, Hint
from .row_space import TIMES, Column
from .schema import Schema

ENTRIES = ("kind", "bounds", "missing", "format")
"""Names of the entries that a column can have in the file."""


@dataclass(frozen=True)
class ColumnChoices:
    """Choices of the user about the columns of a table.

    Args:
        kinds: Kinds of columns, by name.
        bounds: Bounds of columns, by name.
        hints: Hints for reading columns, by name.
        drop: Names of the columns to leave out.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    bounds: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    hints: dict[str, Hint] = field(default_factory=dict)
    drop: tuple[str, ...] = ()

    def updated(self, kinds: Mapping[str, str], bounds: Mapping[str, Any], drop: tuple[str, ...]) -> ColumnChoices:
        """Return the choices together with others, which take precedence."""
        return ColumnChoices({**self.kinds, **kinds}, {**self.bounds, **bounds}, self.hints, (*self.drop, *drop))

    def reading_hints(self) -> dict[str, Hint]:
        """Return the hints for reading, with those that follow from the chosen kinds."""
        hints = dict(self.hints)
        for name, kind in self.kinds.items():
            kind, _, form = kind.partition(":")
            before = hints.get(name, Hint())
            if kind == "categorical":
                labels = frozenset(text for text in MISSING if text not in before.markers)
                hints[name] = Hint(kind="text", labels=labels, markers=before.markers)
            elif kind == "date":
                hints[name] = Hint(kind="date", format=form or before.format, markers=before.markers)
            elif kind == "position":
                for part in name.split(","):
                    hints.setdefault(part.strip(), Hint(kind="number"))
            elif kind in ("integer", "continuous", "latitude", "longitude") or (kind == "angle" and form):
                hints[name] = Hint(kind="number", markers=before.markers, decimal=before.decimal)
        return hints


def schema_text(schema: Schema, notes: Mapping[str, str]) -> str:
    """Return a schema as TOML text, which `read_choices` can read.

    Args:
        schema: The schema.
        notes: Notes on columns, by name; they become comments.
    """
    lines = [
        "# Kinds: continuous, integer, categorical, constant, date, identifier, text (left out), angle:PERIOD,",
        "# latitude:COLUMN and longitude:COLUMN for the two columns of a position.",
        "# bounds = [low, high]: no value lies outside; missing: texts that mark missing values; format: format of dates.",
    ]
    by_name: dict[str, Any] = {column.name: column for column in schema.columns}
    by_name |= {beside.name: beside for beside in schema.beside}
    for name in schema.order or schema.names:
        entry = by_name[name]
        lines += ["", f"[columns.{_key(name)}]"]
        if name in notes:
            lines.append(f"# {_comment(notes[name])}")
        if isinstance(entry, Column):
            lines.append(f'kind = "{kind_of(entry)}"')
            lines += _column_lines(entry)
        else:
            kind = {"identifier": "identifier", "left out": "text", "computed": None}[entry.role]
            lines.append(f"# {_comment(entry.role + ': ' + entry.why)}")
            if kind:
                lines.append(f'kind = "{kind}"')
    return "\n".join(lines) + "\n"


def kind_of(column: Column) -> str:
    """Return the word with which the kind of a column is declared."""
    if column.axis == "height" or column.partner:
        return f"{'latitude' if column.axis == 'height' else 'longitude'}:{column.partner}"
    if column.axis == "angle":
        return "angle" if column.storage in TIMES else f"angle:{column.period!r}"
    return "date" if column.storage in TIMES and column.kind != "constant" else column.kind


def _column_lines(column: Column) -> list[str]:
    lines = []
    if column.kind == "continuous" and column.axis == "number" and (column.low is not None or column.high is not None):
        low, high = ("-inf" if column.low is None else column.low, "inf" if column.high is None else column.high)
        lines.append(f"bounds = [{low}, {high}]")
    if column.hint.markers:
        lines.append(f"missing = [{', '.join(map(_quoted, column.hint.markers))}]")
    if column.hint.format:
        lines.append(f"format = {_quoted(column.hint.format)}")
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)


def read_choices(path: str) -> ColumnChoices:
    """Read a schema file.

    Raises:
        FileError: The file cannot be read, or is not TOML.
        DataError: The file has other entries than choices about columns.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason(error)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(f"{path}: expected a schema in TOML, got other text ({shortened(str(error), 200)})") from None
    columns = values.get("columns")
    if not isinstance(columns, Mapping) or set(values) != {"columns"}:
        raise DataError(f"{path}: expected tables such as [columns.age], got {brief(sorted(values))}")
    kinds: dict[str, str] = {}
    bounds: dict[str, tuple[float | None, float | None]] = {}
    hints: dict[str, Hint] = {}
    for name, entries in columns.items():
        if not isinstance(entries, Mapping) or not set(entries) <= set(ENTRIES):
            raise DataError(f"{path}: expected {', '.join(ENTRIES)} for column {brief(name)}, got {brief(entries)}")
        if isinstance(entries.get("kind", 0), str):
            kinds[name] = entries["kind"]
        if "bounds" in entries:
            bounds[name] = _bounds(path, name, entries["bounds"])
        missing, form = entries.get("missing", []), entries.get("format", "")
        if not isinstance(missing, list) or not all(isinstance(text, (str, int, float)) for text in missing):
            raise DataError(
                f"{path}: expected a list of texts as missing for column {brief(name)}, got {brief(missing)}"
            )
        if not isinstance(form, str):
            raise DataError(f"{path}: expected a text as format for column {brief(name)}, got {brief(form)}")
        if missing or form:
            hints[name] = Hint(markers=tuple(map(str, missing)), format=form)
    return ColumnChoices(kinds, bounds, hints)


def _bounds(path: str, name: str, values: object) -> tuple[float | None, float | None]:
    fits = isinstance(values, list) and len(values) == 2
    if not fits or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):  # type: ignore[attr-defined]
        raise DataError(f"{path}: expected bounds = [low, high] for column {brief(name)}, got {brief(values)}")
    low, high = (None if np.isinf(v) else float(v) for v in values)  # type: ignore[attr-defined]
    return low, high
