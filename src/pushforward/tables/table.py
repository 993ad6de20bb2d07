"""Tables of named columns of equal length: reading, writing, and conversion of data in memory."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import DataError, FileError, brief, listed, shortened, suggestion
from ..output import atomic_output, reason
from ..terminal import write_data
from . import formats
from .column_names import require_distinct
from .formulas import escape_formulas
from .hints import MISSING, Hint, Note, Reading
from .limits import COLUMNS, Limits
from .numpy_files import split_arrays
from .polars_frames import from_polars

__all__ = ["Table", "atomic_output", "label_of", "read_table", "table_from", "write_table"]


@dataclass(frozen=True, eq=False)
class Table:
    """Table of named columns of equal length.

    Args:
        names: Names of the columns, all different.
        columns: One-dimensional arrays. They are stored as float64 (NaN is missing), int64, bool, datetime64[D] for dates,
            datetime64[us] for timestamps, timedelta64[us] for times of day (NaT is missing), or object arrays of text, whole
            numbers or truth values (None is missing).
        zones: Time zones of timestamps, by the name of the column; the values themselves are in UTC.
        found: Facts that were found about the entries of columns when a file was read, by name.
        notes: Notes about the way in which a file was read.

    Raises:
        DataError: Names are repeated, lengths differ, or a column holds other values, such as lists.
    """

    names: tuple[str, ...]
    columns: tuple[np.ndarray, ...]
    zones: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, Hint] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        """Check names and lengths, and convert every column to one of the stored types."""
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
        """Return a table of some rows, which are given by their numbers or by a mask."""
        return dataclasses.replace(self, columns=tuple(column[rows] for column in self.columns))

    def without(self, names: Collection[str]) -> Table:
        """Return the table without some columns.

        Raises:
            DataError: The table has no column of such a name, or no column would be left.
        """
        for name in names:
            if name not in self.names:
                raise DataError(
                    f"there is no column {name!r} to drop; {suggestion(name, self.names, 'the columns are')}"
                )
        kept = [i for i, name in enumerate(self.names) if name not in names]
        if not kept:
            raise DataError("expected a column to be left, got all of them dropped")
        return dataclasses.replace(
            self, names=tuple(self.names[i] for i in kept), columns=tuple(self.columns[i] for i in kept)
        )


def table_from(data: Any) -> Table:
    """Return data in memory as a table.

    Args:
        data: A Table, a mapping from names to arrays, a data frame of pandas or polars, or a NumPy array or a tensor (N, C) or
            (N,), whose columns get the names x0, x1, ...

    Raises:
        DataError: The data have another type, or a column cannot be used.
    """
    if isinstance(data, Table):
        return data
    zones: dict[str, str] = {}
    if hasattr(data, "get_columns"):
        columns, zones, _ = from_polars(data)
    elif isinstance(data, Mapping):
        columns = dict(data)
    elif hasattr(data, "columns") and hasattr(data, "__getitem__"):
        require_distinct([str(name) for name in data.columns])
        columns = {str(name): _from_pandas(data[name], str(name), zones) for name in data.columns}
    else:
        array = data.detach().cpu().numpy() if hasattr(data, "detach") else data
        if not isinstance(array, np.ndarray):
            raise DataError(f"expected a table, an array, a mapping or a frame, got {type(data).__name__}")
        columns = split_arrays({"x": array[:, None] if array.ndim == 1 else array})
    return Table(tuple(columns), tuple(columns.values()), zones)


def read_table(
    path: str | os.PathLike[str],
    *,
    text: Collection[str] = (),
    reading: Reading | None = None,
    max_columns: int = COLUMNS,
    max_gigabytes: float | None = None,
) -> Table:
    """Read a table from a file, whose suffix determines its type.

    The suffixes are .csv, .tsv, .tab and .txt (also with .gz), .xlsx, .xls, .xlsb, .ods, .json, .jsonl, .ndjson, .parquet, .pq,
    .arrow, .feather, .ipc, .npy and .npz.

    For delimited text, the separator, the encoding, line ends and comments are found automatically. Numbers can have decimal
    commas, thousands separators, currency signs and percent signs. Dates can have many formats, and markers of missing values
    are found among numbers. `Table.notes` lists what was found. An NPY file holds one array (N, C), whose columns get the names
    x0, x1, ... An NPZ file holds columns by name, or arrays (N, C), whose columns get the name of the array and a number.

    Args:
        path: Path of the file; "-" reads CSV from standard input.
        text: Columns of delimited text that hold labels even where they look like numbers, such as postcodes.
        reading: Rules for the interpretation of the entries; by default everything is found automatically.
        max_columns: Limit on the number of columns.
        max_gigabytes: Limit on the unpacked size of a file in memory, in GB; by default half a gigabyte, or a hundred times the
            size of the file if that is more.

    Returns:
        The table, with at least one row.

    Raises:
        FileError: The file is missing, is empty, is damaged, has an unknown type, or is too large when unpacked.
        DataError: It has no rows, rows of different lengths, too many columns, or no column that can be used.
    """
    name = os.fspath(path)
    shown = "standard input" if name == "-" else name
    if name != "-":
        _suffix(name, formats.READ)
    reading = reading or Reading()
    labels = {column: Hint(kind="text", labels=frozenset(MISSING)) for column in text}
    reading = dataclasses.replace(reading, hints={**labels, **reading.hints})
    try:
        content = formats.read_content(name, reading, Limits(max_columns, max_gigabytes))
        if not content.columns:
            left = "".join(f"; {note.sentence}" for note in content.notes if note.left_out)
            raise DataError(f"expected a column of numbers, text, truth values or dates, got none{left}")
        columns = content.columns
        table = Table(tuple(columns), tuple(columns.values()), content.zones, content.found, content.notes)
        if table.n_rows == 0:
            raise DataError("expected rows below the column names, got none")
    except (FileError, DataError) as error:
        raise type(error)(f"{shown}: {shortened(str(error))}") from None
    except OSError as error:
        raise FileError(f"{shown} cannot be read: {reason(error)}") from None
    return table


def write_table(table: Table, path: str | os.PathLike[str], *, formulas: bool = True) -> None:
    """Write a table to a file, whose suffix determines its type, as in `read_table`.

    If writing fails, no incomplete file is left.

    Args:
        table: Table to write.
        path: Path of the file; "-" writes CSV to standard output.
        formulas: Whether names and texts that a spreadsheet would run as formulas, because they begin with = + - @ or a tab,
            are written unchanged; otherwise they get a single quote at their beginning.

    Raises:
        FileError: The suffix is unknown, or the path cannot be written.
        DataError: This type of file cannot hold the columns.
    """
    name = os.fspath(path)
    columns = dict(zip(table.names, table.columns, strict=True))
    if not formulas:
        columns = escape_formulas(columns)
    if name == "-":
        write_data(formats.as_csv(columns, table.zones))
        return
    suffix = _suffix(name, formats.SUFFIXES)
    with atomic_output(name) as temporary:
        try:
            formats.write_columns(columns, table.zones, temporary, suffix)
        except (FileError, DataError) as error:
            raise type(error)(f"{name}: {error}") from None


def label_of(value: Any) -> str:
    """Return the label of a value as text; 1 and 1.0 have the same label."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    number = float(value)
    return str(int(value)) if number.is_integer() else repr(number)


def _suffix(name: str, known: Collection[str]) -> str:
    suffix = formats.suffix_of(name)
    if suffix not in known:
        raise FileError(f"{name}: expected a file of type {', '.join(known)}; convert or rename it")
    return suffix


def _from_pandas(series: Any, name: str, zones: dict[str, str]) -> np.ndarray:
    zone = getattr(getattr(series, "dtype", None), "tz", None)
    if zone is not None:
        zones[name] = str(zone)
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    values = np.asarray(series)
    if values.dtype.kind != "O" or not hasattr(series, "isna"):
        return values
    values = values.copy()
    values[np.asarray(series.isna(), dtype=bool)] = None
    return values


def _stored(name: str, values: Any) -> np.ndarray:
    """Return a column in one of the stored types, see `Table`."""
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
    if kind == "M":
        day = np.datetime_data(array.dtype)[0] in ("Y", "M", "W", "D")
        return array.astype("datetime64[D]" if day else "datetime64[us]")
    if kind == "m":
        return array.astype("timedelta64[us]")
    if kind == "O":
        return _stored_objects(name, array)
    raise DataError(
        f"expected numbers, text, truth values or dates in column {brief(name)}, got {array.dtype}; convert it first"
    )


def _stored_objects(name: str, array: np.ndarray) -> np.ndarray:
    values = array.tolist()
    types = set(map(type, values))
    missing = type(None) in types
    types.discard(type(None))
    if types and all(issubclass(kind, datetime.date) for kind in types):
        days = not any(issubclass(kind, datetime.datetime) for kind in types)
        return np.array(values, dtype="datetime64[D]" if days else "datetime64[us]")
    if types == {datetime.time}:
        return np.array([None if v is None else _since_midnight(v) for v in values], dtype="timedelta64[us]")
    for kind in types:
        if not issubclass(kind, (str, bool, int, float, np.bool_, np.integer, np.floating)):
            raise DataError(
                f"expected numbers, text, truth values or dates in column {brief(name)}, got {kind.__name__}; convert it first"
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


def _since_midnight(time: datetime.time) -> datetime.timedelta:
    return datetime.timedelta(hours=time.hour, minutes=time.minute, seconds=time.second, microseconds=time.microsecond)
