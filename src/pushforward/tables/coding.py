"""Stored columns of a table to numbers and back: labels as codes, missing values as NaN. No loop runs over rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError, brief, listed
from .row_space import Column
from .table import Table, label_of

LARGEST = 2.0**53
"""Whole numbers up to it are exact in float64."""


def to_values(column: Column, numbers: np.ndarray) -> np.ndarray:
    """A column of codes or numbers in the type that the table had.

    Raises:
        DataError: a code has no label.
    """
    absent = np.isnan(numbers)
    values = numbers[~absent]
    if column.categories:
        if not np.isin(values, np.arange(len(column.categories))).all():
            raise DataError(f"expected codes 0 to {len(column.categories) - 1} in column {column.name!r}, got others")
        values = _typed(column)[values.astype(np.int64)]
    elif column.storage == "int64":
        values = np.rint(values).astype(np.int64)
    if not absent.any():
        return values
    filled = (
        np.full(len(numbers), math.nan) if column.storage == "float64" else np.full(len(numbers), None, dtype=object)
    )
    filled[~absent] = values
    return filled


def _typed(column: Column) -> np.ndarray:
    """The labels as values of the column's type."""
    if column.storage == "bool":
        return np.array([label == "True" for label in column.categories])
    if column.storage == "str":
        return np.array(column.categories, dtype=object)
    numbers = np.array([float(label) for label in column.categories])
    return numbers.astype(np.int64) if column.storage == "int64" else numbers


def to_codes(column: Column, values: np.ndarray) -> np.ndarray:
    """Labels of a stored column as codes.

    Raises:
        DataError: a label is not one of the column's.
    """
    position: dict[str | None, float] = {label: float(i) for i, label in enumerate(column.categories)}
    position[None] = math.nan
    labels = labels_of(values)
    for value, label in labels.items():
        if label not in position:
            row = values.tolist().index(value) + 1
            raise DataError(
                f"expected one of the labels {listed(column.categories)} in column {column.name!r}, "
                f"got {brief(label)} in row {row}"
            )
    codes = [position[label] for label in labels.values()]
    if values.dtype.kind == "O":
        code_of = dict(zip(labels, codes, strict=True))
        return np.fromiter(map(code_of.__getitem__, values.tolist()), np.float64, len(values))
    return np.array(codes)[np.unique(values, return_inverse=True)[1]]


def to_numbers(name: str, table: Table) -> np.ndarray:
    """A stored column as float64, NaN for missing.

    Raises:
        DataError: it holds text, an infinity, or a whole number that float64 does not hold.
    """
    values = table[name]
    try:
        numbers = values.astype(np.float64)
    except ValueError:
        row, text = next((i, v) for i, v in enumerate(values) if v is not None and not is_number(v))
        raise DataError(f"expected numbers in column {brief(name)}, got {brief(text)} in row {row + 1}") from None
    refuse(name, np.isinf(numbers), "holds an infinite value", "which has no density; correct or remove it")
    if values.dtype.kind == "i" and len(values) and np.abs(numbers).max() > LARGEST:
        row = int(np.abs(numbers).argmax())
        raise DataError(
            f"expected whole numbers up to 2^53 in column {brief(name)}, got {values[row]} in row {row + 1}"
        )
    return numbers


def labels_of(values: np.ndarray) -> dict[Any, str | None]:
    """The label of each different value of a stored column; None for missing ones."""
    distinct: Sequence[Any] = (
        list(dict.fromkeys(values.tolist())) if values.dtype.kind == "O" else np.unique(values).tolist()
    )
    return {value: None if value is None or value != value else label_of(value) for value in distinct}


def is_whole(values: np.ndarray) -> bool:
    """Whether a stored column is one of whole numbers, possibly with missing ones."""
    if values.dtype.kind != "O":
        return values.dtype.kind == "i"
    kinds = set(map(type, values.tolist())) - {type(None)}
    return kinds == {int}


def refuse(name: str, bad: np.ndarray, what: str, why: str = "", numbers: np.ndarray | None = None) -> None:
    """Name the column and the first row where `bad` holds.

    Raises:
        DataError: there is such a row.
    """
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    value = "" if numbers is None else f": {numbers[row]:g}"
    raise DataError(f"column {brief(name)} {what}{value} in row {row + 1}{', ' + why if why else ''}")


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _with_none(values: np.ndarray, absent: np.ndarray) -> np.ndarray:
    filled = np.full(len(absent), None, dtype=object)
    filled[~absent] = values
    return filled
