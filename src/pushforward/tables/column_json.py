"""Columns from plain values, such as those of a JSON document, each value checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, get_args

from ..errors import DataError, brief
from .coding import LARGEST, is_number
from .row_space import Column, Kind, Storage

NUMBERS, BOUNDS = ("value", "edge", "loc", "scale"), ("low", "high")


def column_from(values: object) -> Column:
    """Return the column that `dataclasses.asdict` described.

    Raises:
        DataError: an entry is missing or unknown, of another type, or out of range.
    """
    known = [field.name for field in dataclasses.fields(Column)]
    if not isinstance(values, Mapping) or not {"name", "kind"} <= values.keys() <= set(known):
        raise DataError(f"expected the description of a schema's column, got {brief(values)}")
    entries: dict[str, Any] = dict(values)
    for entry in ("name", "kind", "storage"):
        if not isinstance(entries.get(entry, ""), str):
            raise _unfit(entries, entry, "text")
    if entries["kind"] not in get_args(Kind) or entries.get("storage", "float64") not in get_args(Storage):
        raise DataError(
            f"expected a known kind of column, got {brief(entries['kind'])} of {brief(entries.get('storage'))}"
        )
    if not isinstance(entries.get("missing", False), bool):
        raise _unfit(entries, "missing", "true or false")
    for entry in (*NUMBERS, *BOUNDS):
        if entry in entries and not (entry in BOUNDS and entries[entry] is None):
            entries[entry] = _number(entries, entry)
    entries["categories"] = _labels(entries)
    column = Column(**entries)
    _require_consistent(column)
    return column


def _number(entries: Mapping[str, Any], entry: str) -> float:
    value = entries[entry]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2.0**1023:
        raise _unfit(entries, entry, "a finite number")
    return float(value)


def _labels(entries: Mapping[str, Any]) -> tuple[str, ...]:
    labels = entries.get("categories", ())
    if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) for label in labels):
        raise _unfit(entries, "categories", "a list of texts")
    if len(set(labels)) < len(labels):
        raise _unfit(entries, "categories", "different texts")
    storage = entries.get("storage", "float64")
    if storage == "bool" and not set(labels) <= {"True", "False"}:
        raise _unfit(entries, "categories", "True and False")
    if storage in ("int64", "float64") and not all(
        is_number(label) and abs(float(label)) < 2.0**63 for label in labels
    ):
        raise _unfit(entries, "categories", "numbers")
    return tuple(labels)


def _require_consistent(column: Column) -> None:
    """Refuse a column whose entries, right one by one, contradict each other."""
    low, high = column.low, column.high
    if column.kind == "integer" and (low is None or high is None or not low.is_integer() or not high.is_integer()):
        raise _contradiction(column, "a range of whole numbers")
    if column.kind == "integer" and max(-column.support[0], column.support[1]) > LARGEST:
        raise _contradiction(column, "whole numbers up to 2^53")
    if low is not None and high is not None and not (low <= high if column.kind == "integer" else low < high):
        raise _contradiction(column, "a lower bound below the upper one")
    if column.kind == "categorical" and not column.categories:
        raise _contradiction(column, "labels")
    if column.numeric and column.categories:
        raise _contradiction(column, "no labels for numbers")
    if column.scale <= 0 or column.edge < 0 or not math.isfinite(1 / column.scale):
        raise _contradiction(column, "a scale above 0 and an edge from 0")


def _unfit(entries: Mapping[str, Any], entry: str, wanted: str) -> DataError:
    return DataError(
        f"expected {wanted} as {entry!r} of column {brief(entries['name'])} in a schema, got {brief(entries.get(entry))}"
    )


def _contradiction(column: Column, wanted: str) -> DataError:
    return DataError(
        f"expected {wanted} for the {column.kind} column {brief(column.name)} in a schema, got other entries"
    )
