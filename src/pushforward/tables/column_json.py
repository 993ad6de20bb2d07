"""Conversion of columns to plain values for JSON, and back with a check of every value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, get_args

from ..errors import DataError, brief
from .coding import LARGEST, is_number
from .hints import Hint
from .row_space import TIMES, Axis, Column, Kind, Storage

NUMBERS, BOUNDS = ("value", "edge", "loc", "scale", "step", "grid"), ("low", "high")
DECIMALS = 15
"""Largest number of decimals to which samples are rounded."""
_DEFAULTS: dict[str, Any] = {
    **{field.name: field.default for field in dataclasses.fields(Column) if field.default is not dataclasses.MISSING},
    "hint": {},
}


def column_to(column: Column) -> dict[str, Any]:
    """Return a column as plain values for JSON, from which floats can be restored exactly."""
    values = dataclasses.asdict(column)
    values["hint"] = {
        key: list(value) if isinstance(value, (tuple, frozenset)) else value
        for key, value in values["hint"].items()
        if value and key != "labels"
    }
    return {key: value for key, value in values.items() if key in ("name", "kind") or value != _DEFAULTS.get(key)}


def column_from(values: object) -> Column:
    """Return the column that `column_to` described.

    Raises:
        DataError: An entry is missing, is unknown, has another type, or is out of range.
    """
    known = [field.name for field in dataclasses.fields(Column)]
    if not isinstance(values, Mapping) or not {"name", "kind"} <= values.keys() <= set(known):
        raise DataError(f"expected the description of a schema's column, got {brief(values)}")
    entries: dict[str, Any] = dict(values)
    for entry in ("name", "kind", "storage", "zone", "axis", "partner"):
        if not isinstance(entries.get(entry, ""), str):
            raise _unfit(entries, entry, "text")
    if entries["kind"] not in get_args(Kind) or entries.get("storage", "float64") not in get_args(Storage):
        raise DataError(
            f"expected a known kind of column, got {brief(entries['kind'])} of {brief(entries.get('storage'))}"
        )
    if entries.get("axis", "number") not in get_args(Axis):
        raise _unfit(entries, "axis", f"one of {', '.join(get_args(Axis))}")
    if not isinstance(entries.get("missing", False), bool):
        raise _unfit(entries, "missing", "true or false")
    for entry in (*NUMBERS, *BOUNDS):
        if entry in entries and not (entry in BOUNDS and entries[entry] is None):
            entries[entry] = _number(entries, entry)
    entries["categories"] = _labels(entries)
    for entry in ("spikes", "levels"):
        entries[entry] = _numbers(entries, entry)
    if entries.get("seen") is not None:
        entries["seen"] = _numbers(entries, "seen")
        if len(entries["seen"]) != 2 or entries["seen"][0] > entries["seen"][1]:
            raise _unfit(entries, "seen", "a smallest and a largest value")
    decimals = entries.get("decimals")
    if decimals is not None and (
        isinstance(decimals, bool) or not isinstance(decimals, int) or not 0 <= decimals <= DECIMALS
    ):
        raise _unfit(entries, "decimals", f"a whole number from 0 to {DECIMALS}")
    entries["hint"] = _hint(entries)
    column = Column(**entries)
    _require_consistent(column)
    return column


def _number(entries: Mapping[str, Any], entry: str) -> float:
    value = entries[entry]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2.0**1023:
        raise _unfit(entries, entry, "a finite number")
    return float(value)


def _numbers(entries: Mapping[str, Any], entry: str) -> tuple[float, ...]:
    values = entries.get(entry, ())
    if not isinstance(values, (list, tuple)):
        raise _unfit(entries, entry, "a list of numbers")
    return tuple(_number({"name": entries["name"], entry: value}, entry) for value in values)


def _hint(entries: Mapping[str, Any]) -> Hint:
    values = entries.get("hint", {})
    known = {"kind": "", "labels": [], "markers": [], "format": "", "decimal": ""}
    if not isinstance(values, Mapping) or not values.keys() <= known.keys():
        raise _unfit(entries, "hint", "a description of the entries")
    found: dict[str, Any] = {**known, **values}
    lists = [found["labels"], found["markers"]]
    if not all(isinstance(texts, (list, tuple)) for texts in lists):
        raise _unfit(entries, "hint", "lists of texts")
    texts = [*found["labels"], *found["markers"], found["kind"], found["format"], found["decimal"]]
    if not all(isinstance(text, str) for text in texts):
        raise _unfit(entries, "hint", "texts that describe the entries")
    return Hint(markers=tuple(found["markers"]), format=found["format"], decimal=found["decimal"])


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
    """Refuse a column whose entries contradict each other, although each is valid alone."""
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
    if column.storage in TIMES and not (column.step > 0 and column.kind in ("integer", "constant")):
        raise _contradiction(column, "a step above 0 of dates and times")
    if column.axis != "number" and (not column.numeric or low is None or high is None):
        raise _contradiction(column, "numbers between bounds on a circle or sphere")
    if column.spikes and not (column.numeric and len(set(column.spikes)) == len(column.spikes)):
        raise _contradiction(column, "different spikes, and those for numbers only")
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
