"""Description of a schema as text: the kind of each column, its range or labels, missing values, and notes."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Mapping

import numpy as np

from .coding import Findings, to_numbers, to_values
from .row_space import TIMES, Column
from .schema import Schema
from .table import Table

REPEATED = 0.01
"""Share of the rows from which a repeated value of a continuous column is noted."""
LONGEST = 44
"""Largest number of characters in which labels are shown."""


def column_rows(schema: Schema, table: Table, encoded: np.ndarray) -> list[tuple[str, str, str, str]]:
    """Return the name, the kind, the values and the share of missing values of each column, in the order of the table."""
    found: dict[str, tuple[str, str, str, str]] = {}
    for column, values in zip(schema.columns, encoded.T, strict=True):
        share = float(np.isnan(values).mean())
        missing = "" if share == 0 else "<1%" if share < 0.005 else f"{share:.0%}"
        found[column.name] = (column.name, column.shown_kind, shown_values(column), missing)
    for beside in schema.beside:
        found[beside.name] = (beside.name, beside.role, beside.why, "")
    return [found[name] for name in schema.order or schema.names]


def shown_values(column: Column) -> str:
    """Return the range or the labels of a column as text."""
    if column.kind == "constant":
        return f"always {column.categories[0]}" if column.categories else f"always {shown_number(column, column.value)}"
    if column.kind == "categorical":
        labels = [label or '""' for label in column.categories]
        return textwrap.shorten(", ".join(labels), LONGEST, placeholder=" ...") or f"{len(labels)} labels"
    low, high = column.seen or column.support
    text = f"{shown_number(column, low)} to {shown_number(column, high)}"
    if column.spikes:
        text += f", often {', '.join(shown_number(column, spike) for spike in column.spikes)}"
    if column.levels:
        text += f", {len(column.levels)} different values"
    elif column.grid:
        text += f", in steps of {column.grid:g}"
    elif column.decimals:
        text += f", {column.decimals} decimal{'s' if column.decimals > 1 else ''}"
    return text


def shown_number(column: Column, value: float) -> str:
    """Return a value of a column as text."""
    if column.storage in TIMES:
        shown = to_values(column, np.array([value]))[0]
        if column.storage == "time":
            return str((datetime.datetime.min + shown.item()).time())
        return str(shown.item()).replace("+00:00", "")
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def schema_notes(schema: Schema, table: Table, encoded: np.ndarray) -> dict[str, str]:
    """Return notes on columns, by name; notes on the whole table have the name ""."""
    notes: dict[str, list[str]] = {}
    for note in (note for note in table.notes if not note.left_out):
        notes.setdefault(note.column, []).append(note.text)
    for name, text in wrapped_notes(schema, table).items():
        notes.setdefault(name, []).append(text)
    for column, values in zip(schema.columns, encoded.T, strict=True):
        if column.kind == "integer" and column.storage not in TIMES and _looks_like_dates(values):
            notes.setdefault(column.name, []).append(
                f"its values look like dates such as 20200131; --kind {column.name}=date reads them as dates"
            )
        if column.kind != "continuous" or column.levels:
            continue
        distinct, counts = np.unique(values[np.isfinite(values) & ~np.isin(values, column.spikes)], return_counts=True)
        if len(counts) and (most := int(counts.argmax())) >= 0 and counts[most] >= max(10, REPEATED * len(values)):
            notes.setdefault(column.name, []).append(
                f"{distinct[most]:g} occurs {counts[most]:,} times; a density can be very high at repeated values, so be "
                "careful with the score"
            )
    copies = len(encoded) - len(np.unique(encoded, axis=0)) if encoded.size < 50_000_000 else 0
    if copies:
        rows = "row is a copy" if copies == 1 else "rows are copies"
        notes.setdefault("", []).append(f"{copies:,} {rows} of another one")
    return {name: "; ".join(texts) for name, texts in notes.items()}


def wrapped_notes(schema: Schema, table: Table) -> dict[str, str]:
    """Return a note for each angle with entries outside its period, which are wrapped into it."""
    notes = {}
    for column in schema.columns:
        if column.axis != "angle" or column.name not in table.names:
            continue
        numbers = to_numbers(column.name, table, Findings(table.n_rows, strict=False), column.step)
        start, end = column.support[0], column.support[0] + column.period
        with np.errstate(invalid="ignore"):
            count = int(((numbers < start) | (numbers >= end)).sum())
        if count:
            entries = "1 entry" if count == 1 else f"{count:,} entries"
            period = f"{shown_number(column, start)} to {end:g}"
            notes[column.name] = f"{entries} outside the period from {period}, wrapped into it"
    return notes


def _looks_like_dates(values: np.ndarray) -> bool:
    present = values[np.isfinite(values)]
    if len(present) == 0 or present.min() < 18000101 or present.max() > 21991231:
        return False
    months, days = present // 100 % 100, present % 100
    return bool(((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())


def sentences(notes: Mapping[str, str]) -> list[str]:
    """Return notes as lines of text."""
    return [f"note: {f'{name}: ' if name else ''}{text}" for name, text in notes.items()]
