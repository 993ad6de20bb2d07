"""File formats of tables: mappings from column names to arrays, to and from CSV, Parquet, Arrow, JSON lines and NumPy files.

Messages do not name the file; `tables.read_table` does.
"""

from __future__ import annotations

import csv
import io
import math
import os
import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

import numpy as np
from numpy.lib import format as npy

from ..errors import DataError, FileError, FlowError, brief
from ..output import atomic_output as atomic_output
from ..output import reason as reason
from .limits import DEFAULT, Limits
from .packed import Contents, arrow_contents, parquet_contents

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

Columns = Mapping[str, np.ndarray]


def listed(names: Collection[str], most: int = 8) -> str:
    """Quoted names with commas, the first few of many."""
    shown = [brief(name) for name in list(names)[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def require_distinct(names: Collection[str]) -> None:
    """Refuse repeated names.

    Raises:
        DataError: naming the repeated ones.
    """
    seen: set[str] = set()
    repeated = {name: None for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
    if repeated:
        raise DataError(f"expected different column names, got {listed(repeated)} more than once")


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
        if suffix in JSON_LINES:
            # Entries that are missing in some lines take space in all of them.
            lazy = polars.scan_ndjson(path, infer_schema_length=None)
            kinds = lazy.collect_schema()
            contents = Contents(rows=_lines(path), columns=kinds.len())
            # Lists in lists would take for ever to read, and are refused after that.
            for name, kind in kinds.items():
                _require_flat(name, kind)
        else:
            contents = parquet_contents(path) if suffix in PARQUET else arrow_contents(path)
        limits.require_columns(contents.columns)
        limits.require_size(contents.size, packed)
        if suffix in PARQUET:
            frame = polars.read_parquet(path)
        elif suffix in ARROW:
            frame = polars.read_ipc(path)
        else:
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
        if suffix in CSV:
            frame.write_csv(path, separator=CSV[suffix])
        elif suffix in PARQUET:
            frame.write_parquet(path)
        elif suffix in ARROW:
            frame.write_ipc(path)
        else:
            frame.write_ndjson(path)
    except polars.exceptions.PolarsError as error:
        if "(os error" in str(error):
            raise OSError(str(error)) from None
        raise FileError(f"the table cannot be written as {suffix} ({_first_line(error)})") from None


def read_numpy(path: str, limits: Limits | None = None) -> dict[str, np.ndarray]:
    """Arrays of an NPY file (under the name "x") or of an NPZ file; nothing is unpickled.

    Args:
        path: of the file.
        limits: for each array of a table; None for arrays of pictures, which have their own.

    Raises:
        FileError: it is damaged, pickled, no NumPy file, or unpacks to too much.
        DataError: an array has too many columns.
    """
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            # Damaged headers are parsed as Python, which has something to say about them.
            warnings.simplefilter("ignore")
            if file.read(6)[:2] not in (b"\x93N", b"PK"):
                raise FileError("expected a NumPy file with plain arrays, got something else, perhaps a pickle")
            _require_honest(file, limits)
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                loaded = {"x": loaded[:, None] if loaded.ndim == 1 else loaded}
            arrays = {key: loaded[key] for key in loaded}
    except FlowError:
        raise
    except Exception as error:  # damaged headers lead to what they please: TokenError, NotImplementedError, ...
        if "allow_pickle" in str(error):
            raise FileError("expected plain arrays, got pickled Python objects, which are never loaded") from None
        raise FileError("expected a NumPy file, got one that is damaged or truncated") from None
    if any(array.dtype.kind == "U" and not _is_text(array) for array in arrays.values()):
        raise FileError("expected text in a NumPy file, got numbers that are no characters")
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise FileError("expected a NumPy file with arrays, got one without")
    return arrays


def _is_text(array: np.ndarray) -> bool:
    """Whether every entry is text of Unicode: four bytes a character, below 0x110000 and no half of a pair."""
    if not array.size or not array.dtype.itemsize:
        return True
    codes = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).view(np.uint32)
    return bool(((codes < 0xD800) | ((codes >= 0xE000) & (codes < 0x110000))).all())


def _require_honest(file: BinaryIO, limits: Limits | None) -> None:
    """Refuse arrays whose headers promise more than the file has, or more than the limits allow, before memory is taken."""
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(2) == b"PK":
        with zipfile.ZipFile(file) as archive:
            members = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            if limits is not None:
                limits.require_size(sum(entry.file_size for entry in members), size)
            for entry in members:
                with archive.open(entry) as member:
                    _require_honest_array(member, entry.file_size, size, limits)
        return
    file.seek(0)
    _require_honest_array(file, size, size, limits)


def _require_honest_array(file: IO[bytes], size: int, packed: int, limits: Limits | None) -> None:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        return  # np.load has a sentence for these
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size:
        raise FileError("expected a NumPy file, got one that is damaged or truncated")
    if limits is not None:
        limits.require_array(shape, dtype.itemsize, packed)


def write_numpy(columns: Columns, path: Path, suffix: str) -> None:
    """Write NPY, one array of all columns, or NPZ, one array for each.

    Raises:
        DataError: text in NPY, or missing text in NPZ.
    """
    arrays = {name: _plain(name, values) for name, values in columns.items()}
    if suffix == ".npy":
        for name, values in arrays.items():
            if values.dtype.kind not in "ifb":
                raise DataError(f"expected numbers only in an .npy file, got text in column {name!r}; write .csv")
        with open(path, "wb") as file:
            np.save(file, np.stack(list(arrays.values()), axis=1), allow_pickle=False)
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def split_arrays(arrays: Columns) -> dict[str, np.ndarray]:
    """Arrays (N, C) as columns numbered after their name, arrays (N,) as they are; a single one is always numbered.

    Raises:
        DataError: an array has no or more than two dimensions, or names repeat.
    """
    pairs: list[tuple[str, np.ndarray]] = []
    for name, array in arrays.items():
        if array.ndim not in (1, 2):
            raise DataError(f"expected arrays of one or two dimensions, got shape {array.shape} in {name!r}")
        if array.ndim == 2:
            pairs += [(f"{name}{i}", np.ascontiguousarray(array[:, i])) for i in range(array.shape[1])]
        else:
            pairs.append((name, array))
    require_distinct([name for name, _ in pairs])
    return dict(pairs)


def _parsed(source: str | bytes, separator: str, overrides: Mapping[str, Any]) -> Any:
    """The frame of a CSV file, its types found on the first rows, or on all where those mislead."""
    polars = load_polars("reading CSV")

    def parse(rows: int | None) -> Any:
        return polars.read_csv(
            io.BytesIO(source) if isinstance(source, bytes) else source,
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


def _lines(path: str) -> int:
    with open(path, "rb") as file:
        return 1 + sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _opened(source: str | bytes) -> TextIO:
    binary = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")  # noqa: SIM115
    return io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")


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


def _plain(name: str, values: np.ndarray) -> np.ndarray:
    """A column without Python objects."""
    if values.dtype.kind != "O":
        return values
    entries = values.tolist()
    if not any(isinstance(entry, str) for entry in entries):
        return values.astype(np.float64)
    if None in entries:
        raise DataError(
            f"expected no missing text in a NumPy file, got some in column {name!r}; write .csv or .parquet"
        )
    return values.astype(str)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
