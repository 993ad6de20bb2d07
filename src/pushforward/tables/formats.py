"""File formats of tables: mappings from column names to arrays, to and from CSV, Parquet, Arrow and JSON lines.

NumPy files are in `arrays`.

Messages do not name the file; `tables.read_table` does.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from ..errors import DataError, FileError, FlowError, brief, listed
from ..terminal import quiet_standard_error
from .column_names import require_distinct
from .limits import DEFAULT, Limits
from .numpy_files import Columns
from .unpacked_size import arrow_contents, json_contents, parquet_contents

CSV = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc")
JSON_LINES = (".jsonl", ".ndjson")
NUMPY = (".npy", ".npz")
SUFFIXES = (*CSV, *PARQUET, *ARROW, *JSON_LINES, *NUMPY)
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
"""Texts that stand for a missing value in CSV files."""
HEAD = 10_000
"""Rows of a CSV file on which types are found first."""


def load_polars(what: str) -> Any:
    """The module polars.

    Raises:
        FileError: it is not installed.
    """
    try:
        import polars
    except ImportError:
        raise FileError(f"{what} needs polars; install it with pip install 'pushforward[tables]'") from None
    return polars


def from_polars(frame: Any) -> dict[str, np.ndarray]:
    """The columns of a polars frame; columns with missing whole numbers, truth values or text as object arrays with None.

    Raises:
        DataError: a column holds dates, lists or the like.
    """
    polars = load_polars("a polars frame")
    columns: dict[str, np.ndarray] = {}
    for series in frame.get_columns():
        kind = series.dtype
        if kind.is_float() or kind.is_decimal() or kind == polars.Null:
            columns[series.name] = series.cast(polars.Float64).to_numpy()
        elif kind.is_integer() or kind == polars.Boolean:
            columns[series.name] = _from_whole(series, polars)
        elif kind in (polars.String, polars.Categorical, polars.Enum):
            columns[series.name] = np.array(series.cast(polars.String).to_list(), dtype=object)
        else:
            _require_flat(series.name, kind)
            raise _unusable(series.name, str(kind))
    return columns


def _require_flat(name: str, kind: Any) -> None:
    """Refuse a column of lists or of records.

    Raises:
        DataError: naming it.
    """
    if kind.is_nested():
        raise _unusable(name, "lists or records")


def _unusable(name: str, kind: str) -> DataError:
    return DataError(f"expected numbers, text or truth values in column {brief(name)}, got {kind}; convert it first")


def _from_whole(series: Any, polars: Any) -> np.ndarray:
    if series.dtype.is_integer():
        try:
            series = series.cast(polars.Int64)
        except polars.exceptions.PolarsError:
            raise DataError(f"expected whole numbers below 2^63 in column {series.name!r}, got a larger one") from None
    return series.to_numpy() if series.null_count() == 0 else np.array(series.to_list(), dtype=object)


def to_polars(columns: Columns) -> Any:
    """A polars frame with null for missing values."""
    polars = load_polars("writing tables")
    series = []
    for name, values in columns.items():
        if values.dtype.kind == "f":
            series.append(polars.Series(name, values).fill_nan(None))
        elif values.dtype.kind != "O":
            series.append(polars.Series(name, values))
        else:
            entries = values.tolist()
            kind = next((type(entry) for entry in entries if entry is not None), str)
            dtype = {bool: polars.Boolean, int: polars.Int64}.get(kind, polars.String)
            series.append(polars.Series(name, entries, dtype=dtype))
    return polars.DataFrame(series)


def read_csv(
    source: str | bytes, separator: str, text: Collection[str], limits: Limits = DEFAULT
) -> dict[str, np.ndarray]:
    """Columns of a CSV file with a header, or of its bytes.

    Raises:
        FileError: it is no UTF-8 text, or empty.
        DataError: names repeat or look like data, rows have different lengths, or there are too many columns.
    """
    polars = load_polars("reading CSV")
    errors = (polars.exceptions.PolarsError, polars.exceptions.PanicException)
    try:
        with _opened(source) as file:
            raw = next((row for row in csv.reader(file, delimiter=separator) if row), None)
        limits.require_columns(len(raw or ()))
        names = _checked_header(raw)
        overrides = {old: polars.String for old, new in zip(raw or (), names, strict=True) if new in text}
        try:
            frame = _parsed(source, separator, overrides)
        except errors as error:
            _require_equal_lengths(source, separator, len(names))
            raise FileError(f"expected a CSV table, got other text ({_first_line(error)})") from None
        if frame.width != len(names):
            # Line ends or quotes that two readers understand differently.
            _require_equal_lengths(source, separator, len(names))
            raise FileError(f"expected a CSV table of {len(names)} columns, got one whose lines cannot be told apart")
        frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
        if frame.height == 0 or frame[:, -1].null_count() > 0:
            # only then can a row be too short, or blank
            kept = _require_equal_lengths(source, separator, len(names))
            frame = frame.filter(kept) if len(kept) == frame.height else frame
    except UnicodeDecodeError:
        raise FileError("expected UTF-8 text, got other bytes; convert the file to UTF-8") from None
    except csv.Error as error:
        raise FileError(f"expected a CSV table, got other text ({error})") from None
    return from_polars(_tidy(frame, text))


def read_frame(path: str, suffix: str, limits: Limits = DEFAULT) -> dict[str, np.ndarray]:
    """Columns of a Parquet, Arrow or JSON lines file.

    Raises:
        FileError: it is damaged, of another type, or unpacks to too much.
        DataError: a column holds dates, lists or the like, or there are too many columns.
    """
    polars = load_polars(f"reading {suffix} files")
    packed = os.path.getsize(path)
    try:
        measure = parquet_contents if suffix in PARQUET else arrow_contents if suffix in ARROW else json_contents
        contents = measure(path)
        limits.require_columns(contents.columns)
        limits.require_size(contents.size, packed)
        # Rust prints the message of a panic to standard error before Python sees the exception.
        with quiet_standard_error(), _binary(path) as file:
            if suffix in PARQUET:
                frame = polars.read_parquet(file)
            elif suffix in ARROW:
                frame = polars.read_ipc(file)
            else:
                lazy = polars.scan_ndjson(file, infer_schema_length=None)
                # Lists in lists would take for ever to read, and are refused after that.
                for name, kind in lazy.collect_schema().items():
                    _require_flat(name, kind)
                frame = lazy.collect()
            texts = [series.str.len_bytes().sum() for series in frame.get_columns() if series.dtype == polars.String]
            limits.require_size(sum(texts), packed)
            return from_polars(frame)
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError, ValueError) as error:
        if isinstance(error, FlowError):
            raise
        raise FileError(f"expected a {suffix} file, got one that is damaged or of another type") from None


def write_frame(columns: Columns, path: Path, suffix: str) -> None:
    """Write CSV, Parquet, Arrow or JSON lines.

    Raises:
        FileError: polars cannot write it.
    """
    polars = load_polars(f"writing {suffix} files")
    frame = to_polars(columns)
    try:
        # An open file: Polars reads meaning into paths, and takes none that are not UTF-8.
        with open(path, "wb") as file:
            if suffix in CSV:
                frame.write_csv(file, separator=CSV[suffix])
            elif suffix in PARQUET:
                frame.write_parquet(file)
            elif suffix in ARROW:
                frame.write_ipc(file)
            else:
                frame.write_ndjson(file)
    except polars.exceptions.PolarsError as error:
        if "(os error" in str(error):
            raise OSError(str(error)) from None
        raise FileError(f"the table cannot be written as {suffix} ({_first_line(error)})") from None


def _parsed(source: str | bytes, separator: str, overrides: Mapping[str, Any]) -> Any:
    """The frame of a CSV file, its types found on the first rows, or on all where those mislead."""
    polars = load_polars("reading CSV")

    def parse(rows: int | None) -> Any:
        with quiet_standard_error(), _binary(source) as file:
            return polars.read_csv(
                file,
                separator=separator,
                null_values=list(MISSING),
                infer_schema_length=rows,
                schema_overrides=overrides,
            )

    try:
        frame = parse(HEAD)
    except polars.exceptions.ComputeError:
        return parse(None)
    unknown = any(s.dtype == polars.String and s[:HEAD].null_count() == HEAD for s in frame.get_columns())
    return parse(None) if unknown else frame


def _opened(source: str | bytes) -> TextIO:
    return io.TextIOWrapper(_binary(source), encoding="utf-8-sig", newline="")


def _binary(source: str | bytes) -> BinaryIO:
    """An open file. Polars reads a path with *, ? or [ as a pattern of several files; an open file is one file."""
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def _checked_header(raw: list[str] | None) -> list[str]:
    if raw is None:
        raise FileError("expected a table, got an empty file")
    if len(raw) == 1 and any(mark in raw[0] for mark in ";\t|"):
        raise DataError(f"expected another mark between the fields, got the one column {raw[0]!r}; convert the file")
    names = [name.strip() for name in raw]
    for i, name in enumerate(names):
        if not name:
            raise DataError(f"expected a name for every column, got none for column {i + 1}")
    require_distinct(names)
    if all(_is_number(name) for name in names):
        raise DataError(f"expected column names in the first row, got numbers ({listed(names, 3)}); add a header")
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _require_equal_lengths(source: str | bytes, separator: str, width: int) -> list[bool]:
    """For each row after the header whether it is not a blank line; refuse rows of another length."""
    with _opened(source) as file:
        counts = list(map(len, csv.reader(file, delimiter=separator)))
    header = next(i for i, count in enumerate(counts) if count)
    fields = np.array(counts[header + 1 :], dtype=np.int64)
    wrong = np.flatnonzero((fields != width) & (fields > 0))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(f"expected {width} fields in every row, got {fields[row]} in row {row + 1}")
    # in a table of one column a blank line is a missing value
    return ((fields > 0) | (width == 1)).tolist()


def _tidy(frame: Any, text: Collection[str]) -> Any:
    """Text columns without blanks around their entries, read as numbers if all are numbers then."""
    polars = load_polars("reading CSV")
    for series in frame.get_columns():
        if series.dtype != polars.String or series.name in text:
            continue
        stripped = series.str.strip_chars()
        if not (stripped != series).any():
            continue
        stripped = stripped.replace(list(MISSING), None)
        for kind in (polars.Int64, polars.Float64):
            numbers = stripped.cast(kind, strict=False)
            if numbers.null_count() == stripped.null_count():
                stripped = numbers
                break
        frame = frame.with_columns(stripped.alias(series.name))
    return frame


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
