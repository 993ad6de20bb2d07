"""Schema: what is known of a table's columns, and the way between tables and arrays of numbers.

How kinds are found, unless they are given:

    text, truth values             categorical; constant when all are equal
    numbers, all equal             constant
    numbers with two values        categorical (in more than two rows)
    whole numbers, also as floats  integer, on the range that is seen or given
    other numbers                  continuous, on the whole line unless bounds are given; but few values that repeat often
                                   (at most 10, each 10 times on average) are categorical, since their density is infinite

Bounds of continuous columns are never guessed: the smallest value seen is not a bound of what may come.
Labels, ranges of integers and whether values can be missing come from all rows; loc and scale from the training rows.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

from ..errors import DataError, brief, listed
from ..training.validation_split import split_rows
from .coding import LARGEST, is_number, is_whole, labels_of, refuse, to_codes, to_numbers, to_values
from .column_json import column_from
from .column_layers import unbounded
from .column_names import require_distinct
from .row_space import Column, Kind, Storage
from .table import Table, table_from

FEW = 10
"""Values of a continuous column up to which it is categorical, if each comes this often."""

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which rows of a table were held out for validation.

    Args:
        rows: Number of rows of the table.
        validation: fraction, or number of rows, as in `fit`.
        seed: Seed of the permutation, as in `fit`.
        digest: Digest of the encoded table, by which it is recognised; see `digest`.
    """

    rows: int
    validation: float
    seed: int = 0
    digest: str = ""

    @classmethod
    def from_dict(cls, values: object) -> Split:
        """The split that `dataclasses.asdict` described.

        Raises:
            DataError: the values describe none.
        """
        types = {"rows": int, "validation": (int, float), "seed": int, "digest": str}
        if isinstance(values, Mapping) and {"rows", "validation"} <= values.keys() <= types.keys():
            fits = all(isinstance(value, types[name]) for name, value in values.items())  # type: ignore[arg-type]
            if fits and all(0 <= value < 2**63 for name, value in values.items() if name != "digest"):
                return cls(**values)
        raise DataError(f"expected the description of a split in a schema, got {brief(values)}")

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers for training and for validation, the same as in `fit` with the same arguments.

        Raises:
            DataError: the validation part is out of range.
        """
        train, valid = split_rows(self.rows, self.validation, self.seed)
        return train.numpy(), valid.numpy()


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order, and how its rows were split.

    Args:
        columns: at least one.
        split: the rows held out, if recorded.
    """

    columns: tuple[Column, ...]
    split: Split | None = None

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def encode(self, table: Any, *, extra: Literal["error", "ignore"] = "error") -> np.ndarray:
        """The table's rows as numbers: labels as codes, missing values as NaN. Columns are found by name, in any order.

        Numbers outside a column's range are kept; their log-density is -inf.

        Args:
            table: a Table, or what `table_from` takes.
            extra: Treatment of columns that the schema does not know.

        Returns:
            (N, C) float64.

        Raises:
            DataError: a column is missing or unknown, or holds text, an unknown label, an infinity, or a missing value where
                there were none.
        """
        table = table_from(table)
        own, theirs = set(self.names), set(table.names)
        absent = [name for name in self.names if name not in theirs]
        if absent:
            raise DataError(f"expected the columns {listed(self.names)}, got a table without {listed(absent)}")
        unknown = [name for name in table.names if name not in own]
        if unknown and extra != "ignore":
            raise DataError(
                f"expected no columns but {listed(self.names)}, got also {listed(unknown)}; drop or ignore them"
            )
        encoded = np.empty((table.n_rows, len(self.columns)))
        for i, column in enumerate(self.columns):
            encoded[:, i] = (
                to_codes(column, table[column.name]) if column.categories else to_numbers(column.name, table)
            )
            if not column.missing:
                refuse(column.name, np.isnan(encoded[:, i]), "has a missing value", "and had none in training")
        return encoded

    def decode(self, rows: Any) -> Table:
        """The table of encoded or sampled rows: the same names, order, types and labels as the one the schema is of.

        Args:
            rows: (N, C) float64, array or tensor.

        Raises:
            DataError: the shape is another, or a value has no place in its column.
        """
        array = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != len(self.columns):
            raise DataError(f"expected rows of shape (N, {len(self.columns)}), got {array.shape}")
        return Table(self.names, tuple(to_values(column, array[:, i]) for i, column in enumerate(self.columns)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; floats survive exactly."""
        split = None if self.split is None else dataclasses.asdict(self.split)
        return {"columns": [dataclasses.asdict(column) for column in self.columns], "split": split}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """The schema that `to_dict` described.

        Raises:
            DataError: the values describe none.
        """
        found = values.get("columns") if isinstance(values, Mapping) else None
        if not isinstance(found, (list, tuple)) or not found:
            raise DataError(f"expected the description of a schema, with columns, got {brief(values)}")
        columns = tuple(map(column_from, found))
        require_distinct([column.name for column in columns])
        return cls(columns, None if values.get("split") is None else Split.from_dict(values["split"]))


def digest(rows: np.ndarray) -> str:
    """A hash of encoded rows: equal tables have equal digests."""
    return hashlib.sha256(np.ascontiguousarray(rows, dtype=np.float64).data).hexdigest()[:16]


def infer_schema(
    table: Any,
    *,
    kinds: Mapping[str, Kind] | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    max_categories: int = 256,
    rows: np.ndarray | None = None,
    split: Split | None = None,
) -> Schema:
    """Find out what the columns are; the rules are at the top of this module.

    Args:
        table: a Table, or what `table_from` takes; at least two rows.
        kinds: Kinds of columns by name, where the rules would choose another.
        bounds: (low, high) of continuous columns, or ranges of integer ones, by name; None for no bound.
        max_categories: labels a column may have.
        rows: numbers, or a mask, of the rows whose mean and deviation standardise the columns; all by default.
        split: to record; its training rows are `rows` if those are not given.

    Raises:
        DataError: a column cannot be modelled, or the options do not fit the table.
    """
    table = table_from(table)
    kinds, bounds = dict(kinds or {}), dict(bounds or {})
    for given in (kinds, bounds):
        for name in given:
            if name not in table.names:
                raise DataError(f"expected one of the columns {listed(table.names)}, got {brief(name)}")
    for name, kind in kinds.items():
        if kind not in get_args(Kind):
            raise DataError(
                f"expected column {brief(name)} to be one of {', '.join(get_args(Kind))}, got {brief(kind)}"
            )
    if table.n_rows < 2:
        raise DataError(f"expected at least 2 rows to learn from, got {table.n_rows}")
    if rows is None and split is not None:
        rows = split.indices()[0]
    columns = []
    for name in table.names:
        kind = kinds.get(name) or _guess(name, table, name in bounds)
        if name in bounds and kind not in ("continuous", "integer"):
            raise DataError(f"expected bounds for numbers only, got some for column {brief(name)}, which is {kind}")
        if kind == "categorical" or (
            kind == "constant" and table[name].dtype.kind in "bO" and not is_whole(table[name])
        ):
            columns.append(_labelled(name, table[name], kind, max_categories))
        else:
            columns.append(_numeric(name, table, kind, bounds.get(name, (None, None)), rows))
    if all(column.kind == "constant" and not column.missing for column in columns):
        raise DataError("expected a column with different values, got a table whose columns are all constant")
    return Schema(tuple(columns), split)


def _guess(name: str, table: Table, bounded: bool) -> Kind:  # noqa: FBT001
    values = table[name]
    if values.dtype.kind in "bO" and not is_whole(values):
        distinct = set(values.tolist())
        if distinct == {None}:
            raise DataError(f"column {brief(name)} has no values at all; remove it")
        return "constant" if len(distinct) == 1 else "categorical"
    numbers = to_numbers(name, table)
    present = numbers[~np.isnan(numbers)]
    if len(present) == 0:
        raise DataError(f"column {brief(name)} has no values at all; remove it")
    others = present[present != present[0]]
    if len(others) == 0:
        return "constant"
    whole = bool((present == np.rint(present)).all()) and float(np.abs(present).max()) <= LARGEST
    if bounded:
        return "integer" if whole else "continuous"
    if (others == others[0]).all() and len(present) > 2:
        return "categorical"
    if whole or values.dtype.kind != "f":
        return "integer"
    few = len(np.unique(present[:1000])) <= FEW and len(np.unique(present)) <= min(FEW, len(present) // FEW)
    return "categorical" if few else "continuous"


def _labelled(name: str, values: np.ndarray, kind: Kind, max_categories: int) -> Column:
    lookup = labels_of(values)
    labels = sorted({label for label in lookup.values() if label is not None})
    missing = any(label is None for label in lookup.values())
    if not labels:
        raise DataError(f"column {brief(name)} has no values at all; remove it")
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
    unique = len(labels) > 0.9 * rows and rows >= 20
    if len(labels) <= max_categories and not unique:
        return
    numbers = [is_number(label) for label in labels]
    if storage == "str" and len(labels) / 2 < sum(numbers) < len(labels):
        text = labels[numbers.index(False)]
        row = values.tolist().index(text) + 1
        raise DataError(
            f"column {brief(name)} holds text among numbers: {brief(text)} in row {row}; correct or remove it"
        )
    if unique:
        raise DataError(
            f"column {brief(name)} has {len(labels)} different labels in {rows} rows, as identifiers and dates have; "
            "remove it, or turn it into a number"
        )
    raise DataError(
        f"expected at most {max_categories} labels in column {brief(name)}, got {len(labels)}; group the rare ones, "
        "declare it a number, or raise max_categories"
    )


def _numeric(name: str, table: Table, kind: Kind, bounds: Bounds, rows: np.ndarray | None) -> Column:
    numbers = to_numbers(name, table)
    absent = np.isnan(numbers)
    present = numbers[~absent]
    if len(present) == 0:
        raise DataError(f"column {brief(name)} has no values at all; remove it")
    storage: Storage = "int64" if is_whole(table[name]) and kind != "continuous" else "float64"
    missing, smallest, largest = bool(absent.any()), float(present.min()), float(present.max())
    if kind == "constant":
        if smallest != largest:
            raise DataError(
                f"expected one value in column {brief(name)}, declared constant, got {smallest:g} and {largest:g}"
            )
        return Column(name=name, kind=kind, storage=storage, missing=missing, value=smallest)
    low, high = _checked_bounds(name, bounds)
    refuse(name, numbers < (-math.inf if low is None else low), "holds a value below its bound", numbers=numbers)
    refuse(name, numbers > (math.inf if high is None else high), "holds a value above its bound", numbers=numbers)
    edge = 0.0
    if kind == "integer":
        refuse(
            name, ~absent & (numbers != np.rint(numbers)), "is declared integer and holds a fraction", numbers=numbers
        )
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
    column = Column(name=name, kind=kind, storage=storage, missing=missing, low=low, high=high, edge=edge)
    chosen = numbers if rows is None else numbers[rows]
    chosen = chosen[~np.isnan(chosen)]
    loc, scale = _loc_and_scale(column, chosen if len(chosen) and chosen.min() < chosen.max() else present)
    return dataclasses.replace(column, loc=loc, scale=scale)


def _loc_and_scale(column: Column, values: np.ndarray) -> tuple[float, float]:
    z = unbounded(column, torch.from_numpy(values))
    loc = float(z.mean())
    # measured in units of the largest deviation, so that squares neither overflow nor vanish
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
