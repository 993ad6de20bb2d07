"""Conditions on the columns of a table: their text form, their check against a schema, and the rows that meet them.

    city=Berlin|Paris, age=30..40, height>=180, born<=2001-12-31, note=missing, name="Smith, John"

In Python a condition is a value (equality), a set of values, a pair (low, high) with None for no bound, or None for a missing
value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, brief, listed, suggestion
from .coding import to_values
from .describe import shown_number
from .entry_numbers import entry_number
from .row_space import Column
from .schema import Schema
from .table import Table

Array = np.ndarray[Any, np.dtype[Any]]
_CONDITION = re.compile(r"\s*(\"(?:[^\"]|\"\")*\"|[^=<>\"]+?)\s*(>=|<=|=)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Conditions:
    """Conditions that were checked against a schema.

    Args:
        given: All conditions by name, with values of the types of the table, as for `keeping`.
        fixed: Numbers of the columns that are given exactly, by the index of the column; NaN for a missing value.
        others: Those of `given` on the other columns.
        beyond: Indices of the columns whose condition lies outside of the range of the training table.
        warnings: Sentences about conditions outside of the range of the training table.
    """

    given: Mapping[str, Any]
    fixed: Mapping[int, float]
    others: Mapping[str, Any]
    beyond: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


def parse_conditions(schema: Schema, texts: Sequence[str]) -> dict[str, Any]:
    """Return conditions by column from texts such as "city=Berlin|Paris, age=30..40".

    A name or a label with a comma, a bar or spaces at its ends is written in double quotes; a double quote in it is doubled.

    Args:
        schema: Schema of the table.
        texts: Conditions, separated by commas.

    Raises:
        DataError: A text is not a condition, a column is unknown, or two conditions on a column contradict each other.
    """
    columns = {column.name: column for column in _columns(schema)}
    found: dict[str, Any] = {}
    for text in texts:
        parts = [part for part in _split(text, ",") if part.strip()]
        if not parts:
            raise DataError(f"expected a condition such as city=Berlin or age=30..40, got {brief(text)}")
        for part in parts:
            match = _CONDITION.fullmatch(part)
            if match is None:
                raise DataError(
                    f"expected COLUMN=VALUE, COLUMN>=VALUE or COLUMN<=VALUE as a condition, got {brief(part.strip())}"
                )
            name, operator, value = _unquoted(match[1].strip()), match[2], match[3]
            if name not in columns:
                instead = suggestion(name, list(columns), "the columns are")
                raise DataError(f"there is no column {brief(name)} for a condition; {instead}")
            wanted = _wanted(columns[name], operator, value)
            found[name] = wanted if name not in found else _both(columns[name], found[name], wanted)
    return found


def _columns(schema: Schema) -> list[Column]:
    """Return the columns that conditions can name: the modelled ones and the computed ones."""
    return [*schema.columns, *(beside.column for beside in schema.beside if beside.role == "computed")]


def _split(text: str, separator: str) -> list[str]:
    """Return the parts of a text between separators that are not inside double quotes.

    Raises:
        DataError: A double quote is not closed.
    """
    parts, quoted = [""], False
    for character in text:
        quoted ^= character == '"'
        if character == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    if quoted:
        raise DataError(f"expected a double quote at the end of each quoted text in a condition, got {brief(text)}")
    return parts


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else text


def _wanted(column: Column, operator: str, text: str) -> Any:
    """Return the condition that a text states."""
    if text == "missing" and operator == "=" and "missing" not in column.categories:
        return None
    if operator != "=":
        bound = _number_or_none(column, text)
        if bound is None:
            raise DataError(f"expected a value after {column.name}{operator}, got none")
        return (bound, None) if operator == ">=" else (None, bound)
    if not column.categories:
        ranged = ".." in text
    else:
        ranged = _is_number_column(column) and ".." in text and text not in column.categories
    if ranged:
        low, _, high = text.partition("..")
        return _number_or_none(column, low), _number_or_none(column, high)
    labels = [_unquoted(part.strip()) for part in _split(text, "|")]
    return labels[0] if len(labels) == 1 else frozenset(labels)


def _number_or_none(column: Column, text: str) -> Any:
    """Return a bound as a value of the table; None for an empty text."""
    if not text.strip():
        return None
    if column.categories:
        if not _is_number_column(column):
            raise DataError(
                f"expected labels as the condition on column {brief(column.name)}, which has no order, got {brief(text)}"
            )
        return _float(column, text)
    return to_bound(column, entry_number(column, _unquoted(text.strip())))


def to_bound(column: Column, number: float) -> Any:
    """Return a number of a row as a bound of its column: a date for a date, a number for the others."""
    return to_values(column, np.array([number]))[0] if column.step else float(number)


def _float(column: Column, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"expected a number as a bound of column {brief(column.name)}, got {brief(text)}") from None


def _is_number_column(column: Column) -> bool:
    return bool(column.categories) and column.storage in ("float64", "int64")


def _both(column: Column, first: Any, second: Any) -> Any:
    """Return the condition that two conditions on a column make together."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        low = [side[0] for side in (first, second) if side[0] is not None]
        high = [side[1] for side in (first, second) if side[1] is not None]
        return (max(low) if low else None, min(high) if high else None)
    if first == second:
        return first
    raise DataError(
        f"expected one condition on column {brief(column.name)}, or several ranges, got two that contradict each other"
    )


def check_conditions(schema: Schema, given: Mapping[str, Any]) -> Conditions:
    """Return conditions, split into equalities and others.

    Args:
        schema: Schema of the table.
        given: Condition of each column, by name: a value, a set of labels, a range (low, high) with None for no bound, or None
            for a missing value.

    Raises:
        DataError: A column or a label is unknown, a range is empty, a value cannot occur, or nothing is left to draw.
    """
    known = {column.name: i for i, column in enumerate(schema.columns)}
    computed = {beside.name: beside.column for beside in schema.beside if beside.role == "computed"}
    typed: dict[str, Any] = {}
    fixed: dict[int, float] = {}
    others: dict[str, Any] = {}
    beyond: list[int] = []
    warnings: list[str] = []
    for name, wanted in given.items():
        if name not in known and name not in computed:
            raise DataError(f"expected conditions on the columns {listed([*known, *computed])}, got {brief(name)}")
        column = schema.columns[known[name]] if name in known else computed[name]
        resolved = _resolved(column, wanted)
        outside = _outside(column, resolved)
        if outside:
            warnings.append(outside)
            if name in known:
                beyond.append(known[name])
        typed[name] = _typed(column, resolved)
        if name in known and isinstance(resolved, float) and column.kind != "constant":
            fixed[known[name]] = resolved
        else:
            others[name] = typed[name]
    free = [i for i, column in enumerate(schema.columns) if column.kind != "constant" or column.missing]
    if free and set(free) <= set(fixed):
        raise DataError("expected a column to draw, got conditions that give the value of every column")
    return Conditions(typed, fixed, others, tuple(beyond), tuple(warnings))


def _typed(column: Column, resolved: Any) -> Any:
    """Return a resolved condition with values of the types of the table."""
    if isinstance(resolved, tuple):
        if column.categories:
            return resolved
        return tuple(to_bound(column, end) if np.isfinite(end) else None for end in resolved)
    if isinstance(resolved, frozenset):
        return frozenset(to_values(column, np.array(sorted(resolved))).tolist())
    return None if np.isnan(resolved) else to_values(column, np.array([resolved])).tolist()[0]


def _resolved(column: Column, wanted: Any) -> float | tuple[float, float] | frozenset[float]:
    """Return a condition in the numbers of a row: a number (NaN is missing), a range, or a set of codes."""
    where = f"column {brief(column.name)}"
    if wanted is None:
        if not column.missing:
            raise DataError(
                f"expected a value as the condition on {where}, got missing, which it never was in training"
            )
        return float("nan")
    if isinstance(wanted, (set, frozenset)):
        if not wanted:
            raise DataError(f"expected at least one label in the condition on {where}, got none")
        return frozenset(entry_number(column, value) for value in wanted)
    if not isinstance(wanted, (tuple, list)):
        number = entry_number(column, wanted)
        low, high = column.support
        if not low <= number <= high or (column.kind == "integer" and number != round(number)):
            whole = "a whole number from" if column.kind == "integer" else "a value from"
            raise DataError(
                f"expected {whole} {shown_number(column, low)} to {shown_number(column, high)} in {where}, got "
                f"{brief(str(wanted))}, which has probability zero"
            )
        return number
    if len(wanted) != 2 or (column.categories and not _is_number_column(column)):
        raise DataError(f"expected a label or a set of labels as the condition on {where}, got {brief(wanted)}")
    ends = [None if bound is None else _end(column, bound) for bound in wanted]
    low, high = (-np.inf if ends[0] is None else ends[0]), (np.inf if ends[1] is None else ends[1])
    if low > high:
        raise DataError(f"expected low <= high in the range of {where}, got an empty range")
    if column.numeric and (high < column.support[0] or low > column.support[1]):
        raise DataError(
            f"expected a range of {where} within {shown_number(column, column.support[0])} to "
            f"{shown_number(column, column.support[1])}, got one of probability zero"
        )
    return low, high


def _end(column: Column, bound: Any) -> float:
    return _float(column, str(bound)) if column.categories else entry_number(column, bound)


def _outside(column: Column, resolved: Any) -> str:
    """Return a warning for a condition outside of the range of the training table; an empty text otherwise."""
    if column.seen is None or not column.numeric or isinstance(resolved, frozenset):
        return ""
    low, high = resolved if isinstance(resolved, tuple) else (resolved, resolved)
    if not (low > column.seen[1] or high < column.seen[0]):
        return ""
    ends = f"{shown_number(column, column.seen[0])} to {shown_number(column, column.seen[1])}"
    return f"the condition on {column.name} is outside of {ends}, the range of the training table, so the answer extrapolates"


def keeping(table: Table, given: Mapping[str, Any]) -> Array:
    """Return which rows of a table keep conditions: (N,) truth values. A missing value is in no range.

    Args:
        table: The rows.
        given: Conditions by column, as for `check_conditions`.

    Raises:
        DataError: A column is unknown, or its values have no order and the condition is a range.
    """
    keep = np.ones(table.n_rows, dtype=bool)
    for name, wanted in given.items():
        if name not in table.names:
            raise DataError(f"expected conditions on the columns {listed(table.names)}, got {brief(name)}")
        values = table[name]
        present = ~np.array([value is None or value != value for value in values.tolist()], dtype=bool)
        if values.dtype.kind in "mM":
            present = ~np.isnat(values)
        if wanted is None:
            keep &= ~present
        elif isinstance(wanted, (tuple, list)) and len(wanted) == 2:
            for bound, compare in zip(wanted, (np.greater_equal, np.less_equal), strict=True):
                if bound is not None:
                    keep &= present
                    keep[present] &= _compared(name, values[present], bound, compare)
        else:
            allowed = wanted if isinstance(wanted, (set, frozenset)) else [wanted]
            texts = {str(value) for value in allowed}
            same = [value in allowed or str(value) in texts for value in values.tolist()]
            keep &= present & np.array(same, dtype=bool)
    return keep


def _compared(name: str, values: Array, bound: Any, compare: Callable[[Array, Any], Array]) -> Array:
    """Compare values that are not missing with a bound."""
    try:
        return compare(values.astype(np.float64), bound) if values.dtype.kind == "O" else compare(values, bound)
    except (TypeError, ValueError):
        raise DataError(
            f"expected a range of column {brief(name)} with bounds like its values, got {brief(bound)}"
        ) from None
