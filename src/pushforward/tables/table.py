"""Tables: named columns of equal length, read from and written to files, or taken from what is in memory."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError, FileError, brief, listed, shortened, suggestion
from ..output import atomic_output, reason
from ..terminal import write_data
from . import formats
from .column_names import require_distinct
from .formulas import escape_formulas
from .limits import COLUMNS, Limits
from .numpy_files import read_numpy, split_arrays, write_numpy

__all__ = ["Table", "atomic_output", "label_of", "read_table", "table_from", "write_table"]


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length.

    Args:
        names: Names of the columns, all different.
        columns: one-dimensional arrays. They are stored as float64 (NaN is missing), int64, bool, or object arrays of text,
            whole numbers or truth values with None for missing.

    Raises:
        DataError: names repeat, lengths differ, or a column holds something else, such as dates or lists.
    """

    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        """Bring every column to one of the stored types."""
        names = tuple(str(name) for name in self.names)
        if not names or len(names) != len(self.columns):
            raise DataError(f"expected columns with a name each, got {len(names)} names, {len(self.columns)} columns")
        require_distinct(names)
        columns = tuple(_stored(name, values) for name, values in zip(names, self.columns, strict=True))
        lengths = sorted({len(column) for column in columns})
        if len(lengths) > 1:
            raise DataError(f"expected columns of equal length, got lengths {', '.join(map(str, lengths))}")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "columns", columns)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0])

    @functools.cached_property
    def _by_name(self) -> dict[str, np.ndarray]:
        return dict(zip(self.names, self.columns, strict=True))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._by_name:
            raise DataError(f"expected one of the columns {listed(self.names)}, got {brief(name)}")
        return self._by_name[name]

    def take(self, rows: np.ndarray) -> Table:
        """The table of some rows, by number or by a mask."""
        return Table(self.names, tuple(column[rows] for column in self.columns))

    def without(self, names: Collection[str]) -> Table:
        """Return the table without some columns.

        Raises:
            DataError: One is not there, or none is left.
        """
        for name in names:
            if name not in self.names:
                raise DataError(
                    f"there is no column {name!r} to drop; {suggestion(name, self.names, 'the columns are')}"
                )
        kept = [i for i, name in enumerate(self.names) if name not in names]
        if not kept:
            raise DataError("expected a column to be left, got all of them dropped")
        return Table(tuple(self.names[i] for i in kept), tuple(self.columns[i] for i in kept))


def table_from(data: Any) -> Table:
    """A table from anything tabular in memory.

    Args:
        data: a Table, a numpy array or torch tensor (N, C) or (N,) with columns named x0, x1, ..., a mapping from names to
            arrays, or a pandas or polars frame.

    Raises:
        DataError: it is none of these, or a column cannot be used.
    """
    if isinstance(data, Table):
        return data
    if hasattr(data, "get_columns"):
        columns = formats.from_polars(data)
    elif isinstance(data, Mapping):
        columns = dict(data)
    elif hasattr(data, "columns") and hasattr(data, "__getitem__"):
        require_distinct([str(name) for name in data.columns])
        columns = {str(name): _from_pandas(data[name]) for name in data.columns}
    else:
        array = data.detach().cpu().numpy() if hasattr(data, "detach") else data
        if not isinstance(array, np.ndarray):
            raise DataError(f"expected a table, an array, a mapping or a frame, got {type(data).__name__}")
        columns = split_arrays({"x": array[:, None] if array.ndim == 1 else array})
    return Table(tuple(columns), tuple(columns.values()))


def read_table(
    path: str | os.PathLike[str],
    *,
    text: Collection[str] = (),
    max_columns: int = COLUMNS,
    max_gigabytes: float | None = None,
) -> Table:
    """Read a table; the suffix says what it is: .csv .tsv .parquet .arrow .feather .ipc .jsonl .npy .npz.

    CSV and TSV are UTF-8 with a header; empty fields and NA, N/A, NaN, null are missing values. NPY holds one array (N, C),
    its columns named x0, x1, ...; NPZ holds columns by name, or arrays (N, C) whose columns are numbered after their name.

    Args:
        path: Path of the file; "-" reads CSV from standard input.
        text: columns of a CSV file that hold text even where it looks like numbers, such as postcodes.
        max_columns: limit on the number of columns.
        max_gigabytes: limit on what a packed file unpacks to, in GB of memory; by default half a gigabyte, or a hundred times
            the size of the file where that is more.

    Returns:
        The table, of at least one row.

    Raises:
        FileError: the file is missing, empty, damaged, of unknown type, or unpacks to too much.
        DataError: it has no rows, repeated names, rows of different lengths, too many columns, or columns of another kind.
    """
    name = os.fspath(path)
    shown = "standard input" if name == "-" else name
    suffix = ".csv" if name == "-" else _suffix(name)
    try:
        columns = _read(name, suffix, text, Limits(max_columns, max_gigabytes))
        table = Table(tuple(columns), tuple(columns.values()))
        if table.n_rows == 0:
            raise DataError("expected rows below the column names, got none")
    except (FileError, DataError) as error:
        raise type(error)(f"{shown}: {shortened(str(error))}") from None
    except OSError as error:
        raise FileError(f"{shown} cannot be read: {reason(error)}") from None
    return table


def write_table(table: Table, path: str | os.PathLike[str], *, formulas: bool = True) -> None:
    """Write a table; the suffix says how, as in `read_table`. "-" writes CSV to standard output.

    The file appears whole or not at all.

    Args:
        table: to write.
        path: Path of the file.
        formulas: whether names and texts that begin as formulas of spreadsheets do, with = + - @ or a tab, are written as
            they are; otherwise with a single quote before them.

    Raises:
        FileError: the suffix is unknown, or the path cannot be written.
        DataError: the file type cannot hold the columns.
    """
    name = os.fspath(path)
    columns = dict(zip(table.names, table.columns, strict=True))
    if not formulas:
        columns = escape_formulas(columns)
    if name == "-":
        write_data(formats.to_polars(columns).write_csv())
        return
    suffix = _suffix(name)
    with atomic_output(name) as temporary:
        try:
            if suffix in formats.NUMPY:
                write_numpy(columns, temporary, suffix)
            else:
                formats.write_frame(columns, temporary, suffix)
        except (FileError, DataError) as error:
            raise type(error)(f"{name}: {error}") from None


def label_of(value: Any) -> str:
    """The text of a value that serves as a label; 1 and 1.0 are the same label."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    number = float(value)
    return str(int(value)) if number.is_integer() else repr(number)


def _read(name: str, suffix: str, text: Collection[str], limits: Limits) -> dict[str, np.ndarray]:
    if name == "-":
        if sys.stdin is None:
            raise FileError("expected a table, got a standard input that is closed; give a file")
        return formats.read_csv(sys.stdin.buffer.read(), ",", text, limits)
    if not os.path.exists(name):
        raise FileError("expected a file, got none; check the path")
    if os.path.isdir(name):
        raise FileError("expected a file, got a directory")
    if os.path.getsize(name) == 0:
        raise FileError("expected a table, got an empty file")
    if suffix in formats.CSV:
        return formats.read_csv(name, formats.CSV[suffix], text, limits)
    if suffix in formats.NUMPY:
        return split_arrays(read_numpy(name, limits))
    return formats.read_frame(name, suffix, limits)


def _suffix(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in formats.SUFFIXES:
        raise FileError(f"{name}: expected a file of type {', '.join(formats.SUFFIXES)}; convert or rename it")
    return suffix


def _from_pandas(series: Any) -> np.ndarray:
    values = np.asarray(series)
    if values.dtype.kind != "O" or not hasattr(series, "isna"):
        return values
    values = values.copy()
    values[np.asarray(series.isna(), dtype=bool)] = None
    return values


def _stored(name: str, values: Any) -> np.ndarray:
    """A column as float64, int64, bool or object."""
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.ndim != 1:
        raise DataError(f"expected column {brief(name)} to be one-dimensional, got shape {array.shape}")
    kind = array.dtype.kind
    if kind == "b":
        return array
    if kind == "f":
        return array.astype(np.float64, copy=False)
    if kind in "iu":
        if kind == "u" and len(array) and int(array.max()) > np.iinfo(np.int64).max:
            raise DataError(f"expected whole numbers below 2^63 in column {brief(name)}, got {array.max()}")
        return array.astype(np.int64, copy=False)
    if kind in "UT":
        return array.astype(object)
    if kind == "O":
        return _stored_objects(name, array)
    raise DataError(
        f"expected numbers, text or truth values in column {brief(name)}, got {array.dtype}; convert it first"
    )


def _stored_objects(name: str, array: np.ndarray) -> np.ndarray:
    values = array.tolist()
    types = set(map(type, values))
    missing = type(None) in types
    types.discard(type(None))
    for kind in types:
        if not issubclass(kind, (str, bool, int, float, np.bool_, np.integer, np.floating)):
            raise DataError(
                f"expected numbers, text or truth values in column {brief(name)}, got {kind.__name__}; convert it first"
            )
    if any(issubclass(kind, str) for kind in types):
        if all(issubclass(kind, str) for kind in types):
            return array
        plain = [None if value is None or value != value else label_of(value) for value in values]
        return np.array(plain, dtype=object)
    if types and all(issubclass(kind, (bool, np.bool_)) for kind in types):
        return array if missing else array.astype(bool)
    try:
        whole = types and not any(issubclass(kind, (float, np.floating, bool, np.bool_)) for kind in types)
        if whole and missing:
            np.array([value for value in values if value is not None], dtype=np.int64)
            return np.array([None if value is None else int(value) for value in values], dtype=object)
        return array.astype(np.int64 if whole else np.float64)
    except OverflowError:
        raise DataError(f"expected whole numbers below 2^63 in column {brief(name)}, got a larger one") from None
