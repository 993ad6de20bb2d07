"""File formats of tables: delimited text, Excel, Parquet, Arrow, JSON and NumPy files.

Error messages of this module do not name the file; `tables.read_table` adds its name.
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from ..errors import FileError, FlowError, listed
from ..terminal import quiet_standard_error
from . import delimited_text
from .delimited_text import read_delimited
from .hints import Hint, Note, Reading
from .interpret import interpreted
from .limits import Limits
from .numpy_files import Columns, read_numpy, split_arrays, with_gaps, write_numpy
from .polars_frames import as_written, first_line, from_polars, load_polars, to_polars, unusable
from .unpacked_size import arrow_contents, json_contents, parquet_contents

TEXT = delimited_text.SEPARATORS
PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc")
JSON_LINES = (".jsonl", ".ndjson")
JSON = (".json",)
EXCEL = (".xlsx", ".xls", ".xlsb", ".ods")
NUMPY = (".npy", ".npz")
READ = (*delimited_text.SUFFIXES, *PARQUET, *ARROW, *JSON_LINES, *JSON, *EXCEL, *NUMPY)
"""Suffixes of the files that can be read."""
SUFFIXES = (*TEXT, *PARQUET, *ARROW, *JSON_LINES, *JSON, *NUMPY)
"""Suffixes of the files that can be written."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """Content of a file.

    Args:
        columns: Arrays by name.
        zones: Time zones of timestamps, by the name of the column.
        found: Facts that were found about the entries of columns, by name.
        notes: Notes about the way in which the file was read.
    """

    columns: dict[str, np.ndarray]
    zones: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, Hint] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in lower case; for a packed file it has two parts, such as ".csv.gz"."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def read_content(name: str, reading: Reading, limits: Limits) -> Content:
    """Read the columns of a file; the name - stands for CSV from standard input.

    Raises:
        FileError: The file is missing, is damaged, has another type, or is too large when unpacked.
        DataError: Its rows have different lengths, or there are too many columns.
    """
    if name == "-":
        if sys.stdin is None:
            raise FileError("expected a table, got a standard input that is closed; give a file")
        content = sys.stdin.buffer.read()
        if not content:
            raise FileError("expected a table, got an empty file")
        return _delimited(content, ".csv", reading, limits)
    suffix = suffix_of(name)
    if not os.path.exists(name):
        raise FileError("expected a file, got none; check the path")
    if os.path.isdir(name):
        raise FileError("expected a file, got a directory")
    if os.path.getsize(name) == 0:
        raise FileError("expected a table, got an empty file")
    if suffix in NUMPY:
        return Content(columns=with_gaps(split_arrays(read_numpy(name, limits))))
    if suffix in delimited_text.SUFFIXES:
        return _delimited(name, suffix, reading, limits)
    return _read_frame(name, suffix, reading, limits)


def _delimited(source: str | bytes, suffix: str, reading: Reading, limits: Limits) -> Content:
    frame, notes, layout = read_delimited(source, suffix, reading, limits)
    if layout.header:
        frame, counted = _without_index(frame, layout.names[0])
        notes += counted
    frame, found, more = interpreted(frame, reading, separator=layout.separator)
    return _content(frame, reading, found, [*notes, *more])


def _without_index(frame: Any, written: str) -> tuple[Any, list[Note]]:
    """Return the frame without its first column, if that has no name and numbers the rows, as the index that pandas writes."""
    first = frame.columns[0]
    if written not in ("", "Unnamed: 0") or frame.width < 2 or not frame[first].dtype.is_integer():
        return frame, []
    if frame[first].null_count() or frame[first].n_unique() < frame.height:
        return frame, []
    return frame.drop(first), [Note("", "the first column has no name and numbers the rows, so it is left out")]


def _content(frame: Any, reading: Reading, found: Mapping[str, Hint], notes: list[Note]) -> Content:
    columns, zones, more = from_polars(frame, strict=reading.strict)
    return Content(columns=columns, zones=zones, found=found, notes=(*notes, *more))


def _read_frame(path: str, suffix: str, reading: Reading, limits: Limits) -> Content:
    """Read a Parquet, Arrow, JSON or Excel file."""
    polars = load_polars(f"reading {suffix} files")
    packed = os.path.getsize(path)
    notes: list[Note] = []
    try:
        _require_size(path, suffix, packed, limits)
        # Rust prints the message of a panic to standard error before Python sees the exception.
        with quiet_standard_error(), open(path, "rb") as file:
            if suffix in PARQUET:
                frame = polars.read_parquet(file)
            elif suffix in ARROW:
                frame = polars.read_ipc(file)
            elif suffix in JSON_LINES:
                frame = _json_lines(file, reading, notes, polars)
            elif suffix in JSON:
                frame = _json(file, polars)
            else:
                frame = _excel(path, polars, notes)
        texts = [series.str.len_bytes().sum() for series in frame.get_columns() if series.dtype == polars.String]
        limits.require_columns(frame.width)
        limits.require_size(sum(texts), packed)
    except ImportError:
        raise FileError(
            f"reading {suffix} files needs fastexcel; install it with pip install 'pushforward[tables]'"
        ) from None
    except Exception as error:
        # A damaged file can raise any error: of polars, of the operating system or of Python.
        if isinstance(error, FlowError) or not isinstance(error, (Exception, polars.exceptions.PanicException)):
            raise
        raise FileError(f"expected a {suffix} file, got one that is damaged or of another type") from None
    except polars.exceptions.PanicException:
        raise FileError(f"expected a {suffix} file, got one that is damaged or of another type") from None
    hold: Literal["numbers", "dates", "labels"] = "labels"
    if suffix in EXCEL or suffix in JSON_LINES or suffix in JSON:
        hold = "numbers" if suffix in EXCEL else "dates"
    frame, found, more = interpreted(frame, reading, texts_hold=hold)
    return _content(frame, reading, found, [*notes, *more])


def _require_size(path: str, suffix: str, packed: int, limits: Limits) -> None:
    """Refuse a file that is too large when unpacked, before it is read."""
    if suffix in EXCEL:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                limits.require_size(sum(entry.file_size for entry in archive.infolist()), packed)
        return
    measure = parquet_contents if suffix in PARQUET else arrow_contents if suffix in ARROW else json_contents
    contents = measure(path)
    limits.require_columns(contents.columns)
    limits.require_size(contents.size, packed)


def _json_lines(file: BinaryIO, reading: Reading, notes: list[Note], polars: Any) -> Any:
    lazy = polars.scan_ndjson(file, infer_schema_length=None)
    # Reading nested lists takes very long, so such columns are left out before the file is read.
    nested = {name: kind for name, kind in lazy.collect_schema().items() if kind.is_nested()}
    for name, kind in nested.items():
        if reading.strict:
            raise unusable(name, kind)
        notes.append(Note(name, "holds lists or records, which cannot be modelled", left_out=True))
    return lazy.drop(list(nested)).collect()


def _json(file: BinaryIO, polars: Any) -> Any:
    frame = polars.read_json(file, infer_schema_length=None)
    if frame.width == 1 and frame.dtypes[0] == polars.Struct:
        frame = frame.unnest(frame.columns[0])
    return frame


def _excel(path: str, polars: Any, notes: list[Note]) -> Any:
    import fastexcel

    sheets = fastexcel.read_excel(path).sheet_names
    if len(sheets) > 1:
        notes.append(Note("", f"the file has the sheets {listed(sheets)}, and the first one is read"))
    frame = polars.read_excel(path, sheet_id=1, infer_schema_length=None)
    empty = [
        name for name in frame.columns if frame[name].null_count() == frame.height and name.startswith("__UNNAMED")
    ]
    return frame.drop(empty)


def write_columns(columns: Columns, zones: Mapping[str, str], path: Path, suffix: str) -> None:
    """Write columns to a file, whose suffix determines its type.

    Raises:
        FileError: Polars cannot write the file.
        DataError: This type of file cannot hold the columns.
    """
    if suffix in NUMPY:
        write_numpy(columns, path, suffix)
        return
    polars = load_polars(f"writing {suffix} files")
    frame = to_polars(columns, zones)
    try:
        # Polars interprets some characters in paths and accepts only UTF-8, so it gets an open file instead of a path.
        with open(path, "wb") as file:
            if suffix in TEXT:
                as_written(frame).write_csv(file, separator=TEXT[suffix])
            elif suffix in PARQUET:
                frame.write_parquet(file)
            elif suffix in ARROW:
                frame.write_ipc(file)
            elif suffix in JSON_LINES:
                as_written(frame).write_ndjson(file)
            else:
                as_written(frame).write_json(file)
    except polars.exceptions.PolarsError as error:
        if "(os error" in str(error):
            raise OSError(str(error)) from None
        raise FileError(f"the table cannot be written as {suffix} ({first_line(error)})") from None


def as_csv(columns: Columns, zones: Mapping[str, str]) -> str:
    """Return columns as the text of a CSV file."""
    text: str = as_written(to_polars(columns, zones)).write_csv()
    return text
