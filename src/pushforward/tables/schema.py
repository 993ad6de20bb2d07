"""Schema of a table: the descriptions of its columns, and the conversion between tables and arrays of numbers."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import DataError, brief, listed
from ..training.validation_split import split_rows
from .beside import Beside, beside_from, beside_to
from .coding import Findings, to_codes, to_numbers, to_values
from .column_json import column_from, column_to
from .column_names import require_distinct
from .curved_columns import require_latitudes, wrapped
from .hints import Hint
from .row_space import TIMES, Column
from .table import Table, table_from


@dataclass(frozen=True, kw_only=True)
class Split:
    """Split of a table into training and validation rows.

    Args:
        rows: Number of rows of the table.
        validation: Fraction, or number of rows, as in `fit`.
        seed: Seed of the permutation, as in `fit`.
        digest: Digest of the encoded table, by which it is recognised; see `digest`.
    """

    rows: int
    validation: float
    seed: int = 0
    digest: str = ""

    @classmethod
    def from_dict(cls, values: object) -> Split:
        """Return the split that `dataclasses.asdict` described.

        Raises:
            DataError: The values are not the description of a split.
        """
        types = {"rows": int, "validation": (int, float), "seed": int, "digest": str}
        if isinstance(values, Mapping) and {"rows", "validation"} <= values.keys() <= types.keys():
            fits = all(isinstance(value, types[name]) for name, value in values.items())  # type: ignore[arg-type]
            if fits and all(0 <= value < 2**63 for name, value in values.items() if name != "digest"):
                return cls(**values)
        raise DataError(f"expected the description of a split in a schema, got {brief(values)}")

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the rows for training and for validation, the same as in `fit` with the same arguments.

        Raises:
            DataError: The validation part is out of range.
        """
        train, valid = split_rows(self.rows, self.validation, self.seed)
        return train.numpy(), valid.numpy()


@dataclass(frozen=True)
class Encoded:
    """Rows of a table as numbers, and the rows that cannot be used.

    Args:
        rows: Rows (N, C), float64.
        bad: Mask (N,) of the rows with an entry that its column cannot hold; such an entry is replaced by a usual value.
        notes: Reason why a row cannot be used, by the number of the row.
    """

    rows: np.ndarray
    bad: np.ndarray
    notes: Mapping[int, str]


@dataclass(frozen=True)
class Schema:
    """Columns of a table, in order, and the split of its rows.

    Args:
        columns: Modelled columns, at least one.
        split: Split into training and validation rows, if it is recorded.
        beside: Columns that are not modelled.
        order: Names of all columns in the order of the table; empty for the order of `columns`.
    """

    columns: tuple[Column, ...]
    split: Split | None = None
    beside: tuple[Beside, ...] = ()
    order: tuple[str, ...] = ()

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the modelled columns."""
        return tuple(column.name for column in self.columns)

    @functools.cached_property
    def hints(self) -> dict[str, Hint]:
        """Hints for reading the next file with these columns, by name."""
        found = {}
        for column in (*self.columns, *(b.column for b in self.beside if b.role == "computed")):
            text = column.storage == "str"
            kind: Any = "text" if text else "date" if column.storage in TIMES else "number" if column.numeric else ""
            labels = frozenset(column.categories) if text else frozenset[str]()
            found[column.name] = dataclasses.replace(column.hint, kind=kind, labels=labels)
        return found

    def encode(self, table: Any, *, extra: Literal["error", "ignore"] = "error") -> np.ndarray:
        """Return the rows of a table as numbers: labels as codes, missing values as NaN.

        Columns are found by name, in any order. Numbers outside the range of their column are kept; their log-density is -inf.

        Args:
            table: A Table, or an argument that `table_from` accepts.
            extra: Treatment of columns that are not in the schema.

        Returns:
            Rows (N, C), float64.

        Raises:
            DataError: A column is missing or unknown, or holds text, an unknown label, an infinity, or a missing value although
                it had none in training.
        """
        return self._encode(table, extra, strict=True).rows

    def encode_rows(self, table: Any, *, extra: Literal["error", "ignore"] = "error", gaps: bool = False) -> Encoded:
        """Return the rows as numbers, and a mask of the rows with entries that cannot be used, in place of an error.

        Args:
            table: A Table, or an argument that `table_from` accepts.
            extra: Treatment of columns that are not in the schema.
            gaps: Whether NaN is kept for a missing value in a column that had none in training.

        Raises:
            DataError: A column is missing or unknown.
        """
        return self._encode(table, extra, strict=False, gaps=gaps)

    def encode_gaps(self, table: Any) -> np.ndarray:
        """Return the rows as numbers, with NaN for every missing value and for columns that the table does not have.

        Raises:
            DataError: An entry is no value of its column, or the table has none of the columns.
        """
        table = table_from(table)
        if not set(self.names) & set(table.names):
            raise DataError(f"expected some of the columns {listed(self.names)}, got a table without any of them")
        return self._encode(table, "ignore", strict=True, gaps=True).rows

    def _encode(self, table: Any, extra: str, *, strict: bool, gaps: bool = False) -> Encoded:
        table = table_from(table)
        known = {*self.names, *(beside.name for beside in self.beside)}
        absent = [name for name in self.names if name not in table.names]
        if absent and not (strict and gaps):
            raise DataError(f"expected the columns {listed(self.names)}, got a table without {listed(absent)}")
        unknown = [name for name in table.names if name not in known]
        if unknown and extra != "ignore":
            raise DataError(
                f"expected no columns but {listed(self.names)}, got also {listed(unknown)}; drop or ignore them"
            )
        findings = Findings(table.n_rows, strict=strict)
        encoded = np.empty((table.n_rows, len(self.columns)))
        for i, column in enumerate(self.columns):
            if column.name in absent:
                encoded[:, i] = np.nan
                continue
            numbers = _encoded_column(column, table, findings)
            if not column.missing and not gaps:
                missing = np.isnan(numbers) & ~findings.bad
                findings.add(column.name, missing, "has a missing value", "and had none in training")
            if not strict:
                numbers[np.isnan(numbers) & (findings.bad | (not column.missing and not gaps))] = _usual(column)
            encoded[:, i] = numbers
        if not strict:
            self._check_computed(table, encoded, findings)
        return Encoded(encoded, findings.bad, findings.notes)

    def _check_computed(self, table: Table, encoded: np.ndarray, findings: Findings) -> None:
        """Add the rows in which a computed column differs from its equation to the findings."""
        columns = dict(zip(self.names, encoded.T, strict=True))
        for beside in self.beside:
            if beside.identity is None or beside.name not in table.names:
                continue
            try:
                given = to_numbers(beside.name, table, step=beside.column.step)
            except DataError:
                continue
            wanted = columns[beside.name] = beside.identity.values(columns)
            with np.errstate(invalid="ignore"):
                off = np.abs(given - wanted) > 2 * beside.identity.tolerance + 1e-9 * np.abs(wanted)
            findings.add(beside.name, off & ~findings.bad, f"is not {beside.identity.text}", values=given)

    def decode(self, rows: Any) -> Table:
        """Return encoded or sampled rows as a table, with the names, order, types and labels of the original table.

        Computed columns follow from their equations, identifiers are new, and columns that were left out are missing.

        Args:
            rows: Rows (N, C), float64, as an array or a tensor.

        Raises:
            DataError: The shape is wrong, or a column cannot hold a value.
        """
        array = np.asarray(rows.detach().cpu() if hasattr(rows, "detach") else rows, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != len(self.columns):
            raise DataError(f"expected rows of shape (N, {len(self.columns)}), got {array.shape}")
        columns = {
            column.name: to_values(column, wrapped(column, array[:, i])) for i, column in enumerate(self.columns)
        }
        if self.beside:
            steps = {column.name: column.step for column in self.columns}
            made = Table(tuple(columns), tuple(columns.values()))
            numbers = {name: to_numbers(name, made, step=steps[name]) for name in columns if self._is_numeric(name)}
            for beside in self.beside:
                if beside.identity is not None:
                    numbers[beside.name] = beside.identity.values(numbers)
                    columns[beside.name] = to_values(beside.column, numbers[beside.name])
                elif (drawn := beside.draw(len(array))) is not None:
                    columns[beside.name] = drawn
        names = [name for name in self.order or self.names if name in columns]
        zones = {c.name: c.zone for c in self.columns if c.zone}
        return Table(tuple(names), tuple(columns[name] for name in names), zones)

    def _is_numeric(self, name: str) -> bool:
        column = self.columns[self.names.index(name)]
        return column.numeric or (column.kind == "constant" and not column.categories)

    def inside(self, rows: np.ndarray) -> np.ndarray:
        """Return which rows (N, C) have all values within the ranges of the table, as a mask (N,)."""
        inside = np.ones(len(rows), dtype=bool)
        for i, column in enumerate(self.columns):
            if column.seen is not None and column.numeric:
                rounded = column.kind == "continuous" and not column.levels
                values = to_values(column, rows[:, i]) if rounded else rows[:, i]
                with np.errstate(invalid="ignore"):
                    inside &= ~((values < column.seen[0]) | (values > column.seen[1]))
        return inside

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain values for JSON, from which floats can be restored exactly."""
        split = None if self.split is None else dataclasses.asdict(self.split)
        values: dict[str, Any] = {"columns": [column_to(column) for column in self.columns], "split": split}
        if self.beside:
            values |= {"beside": [beside_to(beside) for beside in self.beside], "order": list(self.order)}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """Return the schema that `to_dict` described.

        Raises:
            DataError: The values are not the description of a schema.
        """
        found = values.get("columns") if isinstance(values, Mapping) else None
        if not isinstance(found, (list, tuple)) or not found:
            raise DataError(f"expected the description of a schema, with columns, got {brief(values)}")
        columns = tuple(map(column_from, found))
        others, order = values.get("beside", []), values.get("order", [])
        if not isinstance(others, (list, tuple)) or not isinstance(order, (list, tuple)):
            raise DataError(f"expected a list of the other columns in a schema, got {brief(others)}")
        beside = tuple(map(beside_from, others))
        names = [column.name for column in columns]
        for other in beside:
            if other.identity is not None and not {name for name, _ in other.identity.factors} <= set(names):
                raise DataError(
                    f"expected an equation of known columns for column {brief(other.name)} in a schema, got others"
                )
            names.append(other.name)
        require_distinct(names)
        split = None if values.get("split") is None else Split.from_dict(values["split"])
        return cls(columns, split, beside, tuple(map(str, order)))


def _encoded_column(column: Column, table: Table, findings: Findings) -> np.ndarray:
    if column.categories:
        return to_codes(column, table[column.name], findings)
    numbers = to_numbers(column.name, table, findings, column.step)
    if column.axis == "height":
        require_latitudes(column.name, numbers, findings)
    return wrapped(column, numbers)


def _usual(column: Column) -> float:
    """Return a value that a column can hold."""
    if column.kind == "constant":
        return column.value
    if column.kind == "categorical":
        return 0.0
    if column.seen is not None:
        return column.seen[0]
    low, high = column.support
    return low if np.isfinite(low) else high if np.isfinite(high) else column.loc


def digest(rows: np.ndarray) -> str:
    """Return a hash of encoded rows, by which the same table is recognised."""
    return hashlib.sha256(np.ascontiguousarray(rows, dtype=np.float64).data).hexdigest()[:16]
