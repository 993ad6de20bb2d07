"""Impossible values in samples of a table: values that break its ranges, decimals, labels or equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tables import Schema, Table
from ..tables.coding import to_numbers
from ..tables.describe import shown_number
from ..tables.row_space import TIMES, Column

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ValueCheck:
    """Result of one check of a column in samples.

    Args:
        column: Name of the column.
        check: Condition that the values must meet, such as "within 0 to 10".
        impossible: Number of sampled values that do not meet it.
        note: Shares of a frequent value in data and in samples; empty for other checks.
    """

    column: str
    check: str
    impossible: int
    note: str = ""


def check_values(schema: Schema, data: Table, samples: Table) -> list[ValueCheck]:
    """Return the checks of all columns of samples.

    Args:
        schema: Schema of the table that the model was fitted to.
        data: Rows of the table, for the shares of frequent values.
        samples: Samples as a table.
    """
    found: list[ValueCheck] = []
    for column in schema.columns:
        found += _of_labels(column, samples) if column.categories else _of_numbers(column, data, samples)
    numbers = {
        column.name: to_numbers(column.name, samples, step=column.step)
        for column in schema.columns
        if not column.categories
    }
    for beside in schema.beside:
        if beside.identity is None or beside.name not in samples.names:
            continue
        given, wanted = to_numbers(beside.name, samples, step=beside.column.step), beside.identity.values(numbers)
        numbers[beside.name] = given
        # The equation held in the table only up to the tolerance, the rounding of its columns. The second term is the rounding
        # error of large numbers.
        allowed = 1.01 * beside.identity.tolerance + 1e-9 * np.abs(wanted)
        found.append(
            ValueCheck(beside.name, f"equal to {beside.identity.text}", int((np.abs(given - wanted) > allowed).sum()))
        )
    return found


def _of_labels(column: Column, samples: Table) -> list[ValueCheck]:
    known = {*column.categories, *(["None"] if column.missing else [])}
    strange = sum(str(value) not in known for value in samples[column.name].tolist())
    return [ValueCheck(column.name, f"one of {len(column.categories)} labels", int(strange))]


def _of_numbers(column: Column, data: Table, samples: Table) -> list[ValueCheck]:
    values = to_numbers(column.name, samples, step=column.step)
    present = values[np.isfinite(values)]
    if column.kind == "constant":
        return [ValueCheck(column.name, "the same value as always", int((present != column.value).sum()))]
    low, high = column.seen or column.support
    found = [
        ValueCheck(
            column.name,
            f"within {shown_number(column, low)} to {shown_number(column, high)}",
            int(((present < low) | (present > high)).sum()),
        )
    ]
    if not column.missing:
        found.append(ValueCheck(column.name, "never missing", len(values) - len(present)))
    off = _off_grid(column, present)
    if off is not None:
        found.append(off)
    real = to_numbers(column.name, data, step=column.step)
    real = real[np.isfinite(real)]
    for spike in column.spikes:
        shares = [float((part == spike).mean()) if len(part) else 0.0 for part in (real, present)]
        note = f"{shares[0]:.1%} in data, {shares[1]:.1%} in samples"
        found.append(ValueCheck(column.name, f"often {shown_number(column, spike)}", 0, note))
    return found


def _off_grid(column: Column, present: Array) -> ValueCheck | None:
    """Return the check that numbers have the decimals, the steps or the levels of their column; None without any."""
    if column.storage in TIMES or column.kind == "integer":
        return (
            ValueCheck(column.name, "a whole number", int((present != np.rint(present)).sum()))
            if not column.step
            else None
        )
    if column.levels:
        strange = ~np.isin(present, column.levels)
        return ValueCheck(column.name, f"one of {len(column.levels)} values", int(strange.sum()))
    if column.decimals is not None:
        off = np.round(present, column.decimals) != present
        return ValueCheck(column.name, f"at most {column.decimals} decimals", int(off.sum()))
    return None
