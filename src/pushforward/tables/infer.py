"""Inference of a schema: the kind of each column follows from its values by these rules, unless it is given.

    text, truth values             categorical; constant if all are equal
    numbers, all equal             constant
    numbers with two values        categorical (in more than two rows)
    whole numbers, also as floats  integer, in the range of the table or in the given range
    dates and times                whole numbers of days, seconds ..., in the range of the table
    other numbers                  continuous, on the whole line unless bounds are given; but few values that repeat often
                                   (at most 10, each 10 times on average) are categorical, since their density is infinite

Bounds of continuous columns are never guessed: new values can be smaller than the smallest value of the table.
Labels, ranges of integers, spikes, and whether values can be missing come from all rows; loc and scale come from the training
rows. A column that a model of rows cannot use, such as identifiers or free text, is an error, or is left out if `leave_out`
is set.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import torch

from ..errors import DataError, brief, listed
from .beside import Beside, identifier
from .coding import LARGEST, Findings, is_number, is_whole, labels_of, to_numbers
from .column_layers import unbounded
from .curved_columns import CURVED, curved_column, is_curved, paired, wrapped
from .grain import find_grain, find_spikes
from .hints import ANY, Hint
from .identities import find_identities
from .row_space import Column, Kind, Storage
from .schema import Schema, Split
from .table import Table, table_from

FEW = 10
"""Largest number of different values of a column of fractions that is categorical, if each occurs this often on average."""
UNIQUE = 0.9
"""Share of different texts above which a column of text holds identifiers or free text."""
FEWEST_IDENTIFIERS = 20
"""Smallest number of rows of a column of identifiers."""
STEPS = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1000, 1)
"""Lengths of steps of dates and times, in microseconds: days, hours, minutes, seconds, milliseconds and microseconds."""
OTHER_KINDS = ("date", "identifier", "text")
"""Kinds that can be declared, in addition to those of modelled columns."""
_IDENTIFIER_NAME = re.compile(r"(^|[_ .-])(id|uuid|guid|key|index|nr|no|number|row)$|[a-z]ID$|Id$", re.IGNORECASE)

Bounds = tuple[float | None, float | None]


class _Unusable(DataError):
    """Error about a column that a model of rows cannot use.

    Args:
        message: Message for a person who has to change the table.
        why: Reason in short, for a column that is left out.
        role: Treatment of the column in samples: "identifier" or "left out".
    """

    def __init__(self, message: str, why: str, role: str = "left out") -> None:
        super().__init__(message)
        self.why, self.role = why, role


def infer_schema(
    table: Any,
    *,
    kinds: Mapping[str, str] | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    max_categories: int = 256,
    rows: np.ndarray | None = None,
    split: Split | None = None,
    leave_out: bool = False,
) -> Schema:
    """Return the schema of a table; the rules are at the top of this module.

    Args:
        table: A Table, or an argument that `table_from` accepts; at least two rows.
        kinds: Kinds of columns, by name, if the rules would choose a wrong one: the kinds of `Column`, and "date",
            "identifier", "text" or "angle:PERIOD"; "position" for a pair of columns "latitude,longitude".
        bounds: Bounds (low, high) of continuous columns, or ranges of integer columns, by name; None for no bound.
        max_categories: Largest number of labels of a column.
        rows: Numbers, or a mask, of the rows whose mean and standard deviation standardise the columns; all by default.
        split: Split to record in the schema; its training rows are used as `rows` if these are not given.
        leave_out: Whether columns that cannot be used are left out, and columns that follow exactly from others are computed.
            Otherwise a column that cannot be used is an error, and all others are modelled.

    Raises:
        DataError: A column cannot be modelled, or the options do not fit the table.
    """
    table = table_from(table)
    kinds, bounds = dict(kinds or {}), dict(bounds or {})
    kinds = paired(kinds, table.names)
    _require_options(table, kinds, bounds)
    if rows is None and split is not None:
        rows = split.indices()[0]
    columns: list[Column] = []
    beside: list[Beside] = []
    for name in table.names:
        try:
            if is_curved(kinds.get(name, "")):
                column = _curved(name, table, kinds[name], bounds, rows)
            else:
                kind = _declared(name, kinds) or _guess(name, table, name in bounds, leave_out=leave_out)
                column = _column(name, table, kind, bounds, max_categories, rows)
        except _Unusable as error:
            if not leave_out:
                raise DataError(str(error)) from None
            beside.append(_without(name, table, error))
            continue
        hint = table.found.get(name, ANY)
        columns.append(dataclasses.replace(column, hint=hint, zone=table.zones.get(name, "")))
    if leave_out:
        given = _computed(columns, table, set(kinds) | set(bounds))
        columns = [column for column in columns if column.name not in {b.name for b in given}]
        beside += given
    if all(column.kind == "constant" and not column.missing for column in columns):
        left = "".join(f"; {other.name} is left out: {other.why}" for other in beside)
        raise DataError(f"expected a column with different values, got a table whose columns are all constant{left}")
    return Schema(tuple(columns), split, tuple(beside), table.names if beside else ())


def _require_options(table: Table, kinds: Mapping[str, str], bounds: Mapping[str, Bounds]) -> None:
    for given in (kinds, bounds):
        for name in given:
            if name not in table.names:
                raise DataError(f"expected one of the columns {listed(table.names)}, got {brief(name)}")
    known = (*get_args(Kind), *OTHER_KINDS, *CURVED)
    for name, kind in kinds.items():
        if kind.partition(":")[0] not in known:
            words = (*get_args(Kind), *OTHER_KINDS, "angle", "position")
            raise DataError(f"expected column {brief(name)} to be one of {', '.join(words)}, got {brief(kind)}")
    if table.n_rows < 2:
        raise DataError(f"expected at least 2 rows to learn from, got {table.n_rows}")


def _declared(name: str, kinds: Mapping[str, str]) -> Kind | None:
    kind = kinds.get(name, "").partition(":")[0]
    if kind == "identifier":
        raise _Unusable(f"column {brief(name)} is declared an identifier; remove it", "declared an identifier", kind)
    if kind == "text":
        raise _Unusable(f"column {brief(name)} is declared text; remove it", "declared text")
    return "integer" if kind == "date" else kind or None  # type: ignore[return-value]


def _without(name: str, table: Table, error: _Unusable) -> Beside:
    if error.role == "identifier":
        return identifier(name, table[name], error.why)
    return Beside(column=Column(name=name, kind="constant"), role="left out", why=error.why)


def _column(
    name: str, table: Table, kind: Kind, bounds: Mapping[str, Bounds], max_categories: int, rows: np.ndarray | None
) -> Column:
    values = table[name]
    if name in bounds and kind not in ("continuous", "integer"):
        raise DataError(f"expected bounds for numbers only, got some for column {brief(name)}, which is {kind}")
    if values.dtype.kind in "mM":
        return _timed(name, table, kind, rows)
    if kind == "categorical" or (kind == "constant" and values.dtype.kind in "bO" and not is_whole(values)):
        return _labelled(name, values, kind, max_categories)
    return _numeric(name, table, kind, bounds.get(name, (None, None)), rows)


def _guess(name: str, table: Table, bounded: bool, *, leave_out: bool) -> Kind:  # noqa: FBT001
    values = table[name]
    if values.dtype.kind in "bO" and not is_whole(values):
        distinct = set(values.tolist())
        if distinct == {None}:
            raise _no_values(name)
        return "constant" if len(distinct) == 1 else "categorical"
    if (
        values.dtype.kind == "i"
        and len(values)
        and abs(int(values[np.abs(values.astype(np.float64)).argmax()])) > LARGEST
    ):
        if not leave_out:
            to_numbers(name, table)
        raise _Unusable(
            f"expected whole numbers up to 2^53 in column {brief(name)}",
            "numbers beyond 2^53, as identifiers are",
            "identifier",
        )
    numbers = to_numbers(name, table)
    present = numbers[~np.isnan(numbers)]
    if len(present) == 0:
        raise _no_values(name)
    others = present[present != present[0]]
    if len(others) == 0:
        return "constant"
    if values.dtype.kind in "mM":
        return "integer"
    whole = bool((present == np.rint(present)).all()) and float(np.abs(present).max()) <= LARGEST
    if leave_out and not bounded and whole and len(present) == len(values):
        _refuse_counts(name, present)
    if bounded:
        return "integer" if whole else "continuous"
    if (others == others[0]).all() and len(present) > 2:
        return "categorical"
    if whole or values.dtype.kind != "f":
        return "integer"
    few = len(np.unique(present[:1000])) <= FEW and len(np.unique(present)) <= min(FEW, len(present) // FEW)
    return "categorical" if few else "continuous"


def _no_values(name: str) -> _Unusable:
    return _Unusable(f"column {brief(name)} has no values at all; remove it", "no values at all")


def _refuse_counts(name: str, numbers: np.ndarray) -> None:
    """Refuse identifiers: consecutive whole numbers, or different whole numbers in a column whose name suggests identifiers."""
    rows = len(numbers)
    if rows < FEWEST_IDENTIFIERS or len(np.unique(numbers)) < rows:
        return
    # Different whole numbers that fill a range are a permutation of it, so this test needs no sorting.
    consecutive = numbers.max() - numbers.min() == rows - 1
    if consecutive or _IDENTIFIER_NAME.search(name):
        what = "consecutive numbers, as identifiers are" if consecutive else "different numbers, as identifiers are"
        raise _Unusable(
            f"column {brief(name)} holds {what}; remove it", f"{what}; --kind NAME=integer keeps them", "identifier"
        )


def _labelled(name: str, values: np.ndarray, kind: Kind, max_categories: int) -> Column:
    lookup = labels_of(values)
    labels = sorted({label for label in lookup.values() if label is not None})
    missing = any(label is None for label in lookup.values())
    if not labels:
        raise _no_values(name)
    storage: Storage = {"f": "float64", "i": "int64", "b": "bool"}.get(values.dtype.kind, "str")  # type: ignore[assignment]
    if values.dtype.kind == "O":
        kinds = {type(value) for value in lookup if value is not None}
        storage = "bool" if kinds <= {bool, np.bool_} else "int64" if kinds <= {int} else "str"
    if storage in ("int64", "float64"):
        labels.sort(key=float)
    if kind == "constant":
        if len(labels) > 1 or missing:
            raise DataError(f"expected one value in column {brief(name)}, declared constant, got {listed(labels)}")
        return Column(name=name, kind=kind, storage=storage, categories=tuple(labels))
    _refuse_many(name, values, labels, storage, max_categories)
    return Column(name=name, kind="categorical", storage=storage, missing=missing, categories=tuple(labels))


def _refuse_many(name: str, values: np.ndarray, labels: list[str], storage: str, max_categories: int) -> None:
    rows = len(values)
    unique = len(labels) > UNIQUE * rows and rows >= FEWEST_IDENTIFIERS
    if len(labels) <= max_categories and not unique:
        return
    numbers = [is_number(label) for label in labels]
    if storage == "str" and len(labels) / 2 < sum(numbers) < len(labels):
        text = labels[numbers.index(False)]
        row = values.tolist().index(text) + 1
        raise _Unusable(
            f"column {brief(name)} holds text among numbers: {brief(text)} in row {row}; correct or remove it",
            f"text among numbers, such as {brief(text)} in row {row}; --missing tells which texts mark missing values",
        )
    words = sum(len(label.split()) for label in labels[:200]) / min(len(labels), 200)
    if unique and words < 3:
        raise _Unusable(
            f"column {brief(name)} has {len(labels)} different labels in {rows} rows, as identifiers and dates have; "
            "remove it, or turn it into a number",
            f"{len(labels):,} different texts in {rows:,} rows, as identifiers have",
            "identifier",
        )
    raise _Unusable(
        f"expected at most {max_categories} labels in column {brief(name)}, got {len(labels)}; group the rare ones, "
        "declare it a number, or raise max_categories",
        f"{len(labels):,} different texts; --max-labels {len(labels)} models them as labels",
    )


def _timed(name: str, table: Table, kind: Kind, rows: np.ndarray | None) -> Column:
    """Return a column of dates, timestamps or times of day, as whole numbers of the longest step that divides all of them."""
    values = table[name]
    storage: Storage = "time" if values.dtype.kind == "m" else "datetime"
    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] == "D":
        storage = "date"
    if kind not in ("integer", "constant"):
        raise DataError(
            f"expected column {brief(name)}, which holds dates or times, to be a date, got it declared {kind}"
        )
    microseconds = to_numbers(name, table)
    present = microseconds[~np.isnan(microseconds)]
    if len(present) == 0:
        raise _no_values(name)
    # The resolution is the longest step that divides all times: a column of whole minutes is drawn in whole minutes.
    step = float(next(s for s in STEPS if (present % s == 0).all()))
    numbers = microseconds / step
    missing, smallest, largest = len(present) < len(values), float(present.min()) / step, float(present.max()) / step
    if smallest == largest:
        return Column(name=name, kind="constant", storage=storage, missing=missing, value=smallest, step=step)
    column = Column(
        name=name,
        kind="integer",
        storage=storage,
        missing=missing,
        low=smallest,
        high=largest,
        step=step,
        seen=(smallest, largest),
    )
    return _standardised(column, numbers, rows)


def _curved(name: str, table: Table, declared: str, bounds: Mapping[str, Bounds], rows: np.ndarray | None) -> Column:
    """Return a column of angles, latitudes or longitudes."""
    if name in bounds:
        raise DataError(f"expected no bounds for column {brief(name)}, which is declared {declared.partition(':')[0]}")
    values = table[name]
    if values.dtype.kind == "M" or (values.dtype.kind == "m" and declared.partition(":")[2]):
        raise DataError(
            f"expected numbers or times of day for the angle {brief(name)}, got dates; times of day take no period"
        )
    step = 0.0
    numbers = to_numbers(name, table)
    present = numbers[~np.isnan(numbers)]
    if len(present) == 0:
        raise _no_values(name)
    if values.dtype.kind == "m":
        step = float(next(s for s in STEPS[1:] if (present % s == 0).all()))
        numbers = numbers / step
    if float(present.min()) == float(present.max()):
        raise DataError(f"expected different values in the angle {brief(name)}, got {present[0]:g} only")
    column = curved_column(name, numbers, declared, day=STEPS[0] / step if step else 0.0)
    if step:
        column = dataclasses.replace(column, storage="time", step=step)
    return _standardised(column, wrapped(column, numbers), rows)


def _numeric(name: str, table: Table, kind: Kind, bounds: Bounds, rows: np.ndarray | None) -> Column:
    numbers = to_numbers(name, table)
    absent = np.isnan(numbers)
    present = numbers[~absent]
    if len(present) == 0:
        raise _no_values(name)
    storage: Storage = "int64" if is_whole(table[name]) and kind != "continuous" else "float64"
    missing, smallest, largest = bool(absent.any()), float(present.min()), float(present.max())
    if kind == "constant":
        if smallest != largest:
            raise DataError(
                f"expected one value in column {brief(name)}, declared constant, got {smallest:g} and {largest:g}"
            )
        return Column(name=name, kind=kind, storage=storage, missing=missing, value=smallest)
    low, high = _checked_bounds(name, bounds)
    findings = Findings(len(numbers))
    findings.add(name, numbers < (-math.inf if low is None else low), "holds a value below its bound", values=numbers)
    findings.add(name, numbers > (math.inf if high is None else high), "holds a value above its bound", values=numbers)
    edge = 0.0
    if kind == "integer":
        fractions = ~absent & (numbers != np.rint(numbers))
        findings.add(name, fractions, "is declared integer and holds a fraction", values=numbers)
        low, high = smallest if low is None else low, largest if high is None else high
        if not (low.is_integer() and high.is_integer() and max(-low, high) <= LARGEST):
            raise DataError(f"expected column {brief(name)} to hold whole numbers up to 2^53, got {low:g} to {high:g}")
    else:
        if smallest == largest:
            raise DataError(
                f"expected different values in column {brief(name)}, declared continuous, got {smallest:g} only"
            )
        distances = [np.abs(present - bound) for bound in (low, high) if bound is not None]
        edge = min((float(d[d > 0].min()) / 2 for d in distances), default=0.0)
    spikes = find_spikes(present, whole=kind == "integer")
    grain = find_grain(present, whole=kind == "integer", spikes=spikes)
    column = Column(
        name=name,
        kind=kind,
        storage=storage,
        missing=missing,
        low=low,
        high=high,
        edge=edge,
        spikes=spikes,
        decimals=grain.decimals,
        grid=grain.grid,
        levels=grain.levels,
        seen=(smallest, largest),
    )
    return _standardised(column, numbers, rows)


def _standardised(column: Column, numbers: np.ndarray, rows: np.ndarray | None) -> Column:
    """Return the column with loc and scale: mean and standard deviation on the unbounded coordinate.

    Only ordinary numbers of the training rows count. Spikes are left out, because the density does not model them.
    """
    numbers = np.where(np.isin(numbers, column.spikes), math.nan, numbers) if column.spikes else numbers
    present = numbers[~np.isnan(numbers)]
    chosen = numbers if rows is None else numbers[rows]
    chosen = chosen[~np.isnan(chosen)]
    loc, scale = _loc_and_scale(column, chosen if len(chosen) and chosen.min() < chosen.max() else present)
    return dataclasses.replace(column, loc=loc, scale=scale)


def _loc_and_scale(column: Column, values: np.ndarray) -> tuple[float, float]:
    z = unbounded(column, torch.from_numpy(values))
    loc = float(z.mean())
    # Deviations are divided by the largest one before they are squared, so that squares neither overflow nor underflow.
    largest = float((z - loc).abs().max())
    scale = largest * float(((z - loc) / largest).square().mean().sqrt()) if largest > 0 else 1.0
    if not (math.isfinite(loc) and math.isfinite(scale)):
        raise DataError(
            f"expected numbers that can be added up in column {column.name!r}, got too large ones; rescale it"
        )
    return loc, scale


def _checked_bounds(name: str, bounds: Bounds) -> Bounds:
    low, high = (None if b is None or math.isinf(b) else float(b) for b in bounds)
    if any(b is not None and math.isnan(b) for b in (low, high)) or (
        low is not None and high is not None and low >= high
    ):
        raise DataError(f"expected a lower bound below the upper one for column {brief(name)}, got {low} and {high}")
    return low, high


def _computed(columns: list[Column], table: Table, declared: set[str]) -> list[Beside]:
    """Return the columns that follow exactly from others; columns whose kinds or bounds were given are always modelled."""
    numeric = {
        column.name: column for column in columns if column.numeric and column.storage not in ("datetime", "time")
    }
    numbers = {name: to_numbers(name, table, step=column.step) for name, column in numeric.items()}
    found = find_identities(numeric, numbers)
    return [
        Beside(
            column=dataclasses.replace(numeric[name], missing=False, hint=Hint(), spikes=(), levels=(), grid=0.0),
            role="computed",
            why=f"always {identity.text}",
            identity=identity,
        )
        for name, identity in found.items()
        if name not in declared
    ]
