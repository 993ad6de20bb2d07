"""Coding of the columns of a table as numbers, and back: labels as codes, dates as steps, missing values as NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError, brief, listed
from .row_space import TIMES, Column
from .table import Table, label_of

LARGEST = 2.0**53
"""Largest number up to which all whole numbers are exact in float64."""


class Findings:
    """Collection of entries that cannot be used; in strict mode the first one is an error.

    Args:
        rows: Number of rows of the table.
        strict: Whether the first finding is raised as an error.
    """

    def __init__(self, rows: int, *, strict: bool = True) -> None:
        self.strict = strict
        self.notes: dict[int, str] = {}
        self.bad = np.zeros(rows, dtype=bool)

    def add(self, name: str, where: np.ndarray, what: str, why: str = "", values: Any = None) -> None:
        """Add a fault of a column and the rows in which it occurs.

        Args:
            name: Name of the column.
            where: Boolean mask (N,) of the rows with the fault.
            what: Fault, as the end of a sentence that begins with the column, such as "has a missing value".
            why: Reason or advice, which follows after a comma.
            values: Entries of the column, for the message.

        Raises:
            DataError: The mode is strict, and there is such a row.
        """
        if not where.any():
            return
        rows = np.flatnonzero(where)
        if self.strict:
            value = "" if values is None else f": {_shown(values[rows[0]])}"
            raise DataError(f"column {brief(name)} {what}{value} in row {int(rows[0]) + 1}{', ' + why if why else ''}")
        self.bad |= where
        for row in rows.tolist():
            value = "" if values is None else f": {_shown(values[row])}"
            note = f"{name} {what}{value}"
            self.notes[row] = f"{self.notes[row]}; {note}" if row in self.notes else note


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else brief(value)


def to_values(column: Column, numbers: np.ndarray) -> np.ndarray:
    """Return a column of codes or numbers in the type of the table's column, with the same rounding.

    Raises:
        DataError: A code has no label.
    """
    absent = np.isnan(numbers)
    values = numbers[~absent]
    if column.categories:
        if not np.isin(values, np.arange(len(column.categories))).all():
            raise DataError(f"expected codes 0 to {len(column.categories) - 1} in column {column.name!r}, got others")
        values = _typed(column)[values.astype(np.int64)]
    elif column.storage in TIMES:
        return _times(column, numbers)
    elif column.storage == "int64":
        values = np.rint(_rounded(column, values)).astype(np.int64)
    else:
        values = _rounded(column, values)
    if not absent.any():
        return values
    filled = (
        np.full(len(numbers), math.nan) if column.storage == "float64" else np.full(len(numbers), None, dtype=object)
    )
    filled[~absent] = values
    return filled


def _rounded(column: Column, values: np.ndarray) -> np.ndarray:
    """Return numbers moved to the nearest value that the column can have: a level, a multiple of its grid, or a decimal."""
    if column.levels:
        levels = np.array(column.levels)
        # The boundaries between the cells of nearest levels are the midpoints of the levels.
        return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, values)]
    if column.grid and column.seen is not None:
        # The grid begins at the smallest value of the table, which need not be a multiple of the distance.
        values = column.seen[0] + column.grid * np.rint((values - column.seen[0]) / column.grid)
    return values if column.decimals is None else np.round(values, column.decimals)


def _times(column: Column, numbers: np.ndarray) -> np.ndarray:
    absent = np.isnan(numbers)
    microseconds = (np.rint(np.where(absent, 0, numbers)) * column.step).astype(np.int64)
    if column.storage == "time":
        times: np.ndarray = microseconds.astype("timedelta64[us]")
        times[absent] = np.timedelta64("NaT")
        return times
    times = microseconds.astype("datetime64[us]")
    times[absent] = np.datetime64("NaT")
    return times.astype("datetime64[D]") if column.storage == "date" else times


def _typed(column: Column) -> np.ndarray:
    """Return the labels as values of the type of the column."""
    if column.storage == "bool":
        return np.array([label == "True" for label in column.categories])
    if column.storage == "str":
        return np.array(column.categories, dtype=object)
    numbers = np.array([float(label) for label in column.categories])
    return numbers.astype(np.int64) if column.storage == "int64" else numbers


def to_codes(column: Column, values: np.ndarray, findings: Findings) -> np.ndarray:
    """Return the labels of a column as codes; an unknown label is added to the findings and gets code 0.

    Raises:
        DataError: The findings are strict, and the column has an unknown label.
    """
    position: dict[str | None, float] = {label: float(i) for i, label in enumerate(column.categories)}
    position[None] = math.nan
    labels = labels_of(values)
    unknown = [value for value, label in labels.items() if label not in position]
    if unknown:
        label = labels[unknown[0]]
        if findings.strict:
            row = values.tolist().index(unknown[0]) + 1
            raise DataError(
                f"expected one of the labels {listed(column.categories)} in column {column.name!r}, "
                f"got {brief(label)} in row {row}"
            )
        strange = set(unknown)
        where = np.fromiter((value in strange for value in values.tolist()), bool, len(values))
        findings.add(column.name, where, "has a label that was not in training", values=values)
    codes = [position.get(label, 0.0) for label in labels.values()]
    if values.dtype.kind == "O":
        code_of = dict(zip(labels, codes, strict=True))
        return np.fromiter(map(code_of.__getitem__, values.tolist()), np.float64, len(values))
    return np.array(codes)[np.unique(values, return_inverse=True)[1]]


def to_numbers(name: str, table: Table, findings: Findings | None = None, step: float = 0.0) -> np.ndarray:
    """Return a column of a table as float64, with NaN for missing values.

    Args:
        name: Name of the column.
        table: Table with the column.
        findings: Collection of entries that cannot be used; by default the first one is an error.
        step: Length of a step of a date or time, in microseconds; 0 for a column of numbers.

    Raises:
        DataError: The findings are strict, and the column holds text, an infinity, or a whole number beyond 2^53.
    """
    values = table[name]
    findings = findings or Findings(len(values))
    if values.dtype.kind in "mM" or step:
        return _steps(name, values, findings, step)
    try:
        numbers = values.astype(np.float64)
    except ValueError:
        text = np.array([v is not None and not is_number(v) for v in values.tolist()])
        if findings.strict:
            row = int(np.flatnonzero(text)[0])
            raise DataError(
                f"expected numbers in column {brief(name)}, got {brief(values[row])} in row {row + 1}"
            ) from None
        findings.add(name, text, "is no number", values=values)
        numbers = np.array(
            [math.nan if bad else v for v, bad in zip(values.tolist(), text, strict=True)], dtype=np.float64
        )
    findings.add(name, np.isinf(numbers), "holds an infinite value", "which has no density; correct or remove it")
    if values.dtype.kind == "i" and len(values) and np.abs(numbers).max() > LARGEST:
        row = int(np.abs(numbers).argmax())
        if findings.strict:
            raise DataError(
                f"expected whole numbers up to 2^53 in column {brief(name)}, got {values[row]} in row {row + 1}"
            )
        findings.add(name, np.abs(numbers) > LARGEST, "is beyond the whole numbers up to 2^53", values=values)
    return numbers


def _steps(name: str, values: np.ndarray, findings: Findings, step: float) -> np.ndarray:
    if values.dtype.kind not in "mM":
        missing = np.array([v is None or v != v for v in values.tolist()])
        findings.add(name, ~missing, "is no date or time", values=values)
        return np.full(len(values), math.nan)
    absent = np.isnat(values)
    unit = "timedelta64[us]" if values.dtype.kind == "m" else "datetime64[us]"
    microseconds = values.astype(unit).astype(np.int64).astype(np.float64)
    return np.where(absent, math.nan, microseconds / (step or 1.0))


def labels_of(values: np.ndarray) -> dict[Any, str | None]:
    """Return the label of each different value of a column; None for a missing value."""
    distinct: Sequence[Any] = (
        list(dict.fromkeys(values.tolist())) if values.dtype.kind == "O" else np.unique(values).tolist()
    )
    return {value: None if value is None or value != value else label_of(value) for value in distinct}


def is_whole(values: np.ndarray) -> bool:
    """Return whether a column holds whole numbers, perhaps with missing values."""
    if values.dtype.kind != "O":
        return values.dtype.kind == "i"
    kinds = set(map(type, values.tolist())) - {type(None)}
    return kinds == {int}


def is_number(text: str) -> bool:
    """Return whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except (ValueError, TypeError):
        return False
