"""Reading of delimited text: the encoding, line ends, separator, comments, header and index column are found automatically.

Polars parses the text. This module finds the settings for polars, and returns notes about what it found.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import itertools
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import DataError, FileError, listed
from ..terminal import quiet_standard_error
from .column_names import distinct_names
from .hints import Note, Reading
from .limits import Limits
from .polars_frames import first_line, load_polars
from .written_numbers import reads_as_float

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ","}
"""Usual separator of the fields in files of each suffix; it is tried first."""
SUFFIXES = (*SEPARATORS, *(f"{suffix}.gz" for suffix in SEPARATORS))
SAMPLE = 1 << 18
"""Number of bytes at the beginning of a file from which its layout is found."""
LINES = 200
"""Number of lines on which separators are tried."""
HEAD = 10_000
"""Number of rows from which the types of columns are found first."""
BLOCK = 1 << 22
"""Number of bytes that are read in one step."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Layout of a delimited text.

    Args:
        separator: Character between the fields.
        skip: Number of lines before the table.
        header_lines: Number of lines of the header; more than one if a name contains a line end.
        comments: Whether lines that begin with # are left out.
        header: Whether the first line holds names.
        names: Names of the columns; an empty text for a column without a name.
        trailing: Whether each row has one additional empty field at its end.
    """

    separator: str
    skip: int
    header_lines: int
    comments: bool
    header: bool
    names: tuple[str, ...]
    trailing: bool

    def lines(self, source: str | bytes) -> Iterator[list[str]]:
        """Yield the fields of each line, from the header on; an empty line has no fields."""
        with opened(source) as file:
            for _ in range(self.skip):
                file.readline()
            text = (line for line in file if not (self.comments and line.startswith("#")))
            yield from csv.reader(text, delimiter=self.separator)


def read_delimited(
    source: str | bytes, suffix: str, reading: Reading, limits: Limits
) -> tuple[Any, list[Note], Layout]:
    """Read delimited text as a polars frame.

    Args:
        source: Path of the file, or its bytes.
        suffix: Suffix of the file.
        reading: Rules for the interpretation of the entries.
        limits: Limits on the size of the table.

    Returns:
        The frame, whose names are all different and whose columns are numbers if polars finds numbers, otherwise text; notes;
        and the layout.

    Raises:
        FileError: The file is not text, or is too large when unpacked.
        DataError: Rows have different lengths, or there are too many columns.
    """
    polars = load_polars("reading CSV")
    errors = (polars.exceptions.PolarsError, polars.exceptions.PanicException)
    text, notes = decoded(source, limits, packed=suffix.endswith(".gz"))
    try:
        layout = find_layout(text, SEPARATORS[suffix.removesuffix(".gz")], header=reading.header)
        limits.require_columns(len(layout.names))
        names = _names(layout, notes)
        overrides = {name: polars.String for name in names if reading.hint(name).kind == "text"}
        try:
            nulls = reading.common_markers
            frame = _parsed(text, layout, names, overrides, nulls)
            # Polars reads 01067 as 1067. If a zero precedes a digit anywhere, columns of whole numbers are read again as text,
            # and those without such entries keep their numbers.
            whole = [name for name, kind in frame.schema.items() if kind.is_integer() and name]
            if whole and _leading_zeros(text, layout.separator):
                written = _parsed(text, layout, names, overrides | dict.fromkeys(whole, polars.String), nulls)
                kept = [name for name in whole if written[name].str.contains(r"^[-+]?0\d+$").any()]
                frame = frame.with_columns(written[name] for name in kept)
                notes += [Note(name, "numbers begin with zeros, so they are read as text") for name in kept]
        except errors as error:
            _require_equal_lengths(text, layout)
            raise FileError(f"expected a CSV table, got other text ({first_line(error)})") from None
        if frame.height == 0 or frame[:, -1].null_count() > 0:
            # A row that is blank or too short leaves the last column empty. Otherwise this slow check is not needed.
            kept = _require_equal_lengths(text, layout)
            frame = frame.filter(kept) if len(kept) == frame.height else frame
    except UnicodeDecodeError:
        raise FileError("expected text, got other bytes; convert the file to UTF-8") from None
    except csv.Error as error:
        raise FileError(f"expected a CSV table, got other text ({error})") from None
    if layout.trailing:
        frame = frame.drop(frame.columns[-1])
    return frame, notes, layout


def opened(source: str | bytes) -> io.TextIOWrapper:
    """Open a text in UTF-8 without changing its line ends."""
    return io.TextIOWrapper(_binary(source), encoding="utf-8-sig", newline="")


def decoded(source: str | bytes, limits: Limits, *, packed: bool = False) -> tuple[str | bytes, list[Note]]:
    """Return a source of UTF-8 text with line feeds, and notes: the path itself if the file is such a text, otherwise bytes.

    Raises:
        FileError: The file is not text, or is too large when unpacked.
    """
    notes: list[Note] = []
    if packed:
        source = _unpacked(source, limits)
    with _binary(source) as file:
        head = file.read(SAMPLE)
    encoding = _encoding(head, source)
    if encoding != "utf-8":
        with _binary(source) as file:
            content = file.read()
        limits.require_size(len(content), len(content))
        try:
            source = content.decode(encoding).encode()
        except UnicodeDecodeError:
            raise FileError(f"expected text in {encoding}, got other bytes; convert the file to UTF-8") from None
        shown = {"cp1252": "Windows-1252 (Latin-1)"}.get(encoding, encoding.upper())
        notes.append(Note("", f"the text is not UTF-8 and is read as {shown}"))
        head = source[:SAMPLE]
    # Polars knows line feeds only; old Macintosh files end their lines with a carriage return.
    if b"\r" in head and b"\n" not in head:
        with _binary(source) as file:
            source = file.read().replace(b"\r", b"\n")
    return source, notes


def _unpacked(source: str | bytes, limits: Limits) -> bytes:
    """Return the content of a gzip file, if its size is within the limits."""
    size = len(source) if isinstance(source, bytes) else os.path.getsize(source)
    parts, total = [], 0
    try:
        with _binary(source) as file, gzip.open(file) as unpacked:
            while block := unpacked.read(BLOCK):
                total += len(block)
                limits.require_size(total, size)
                parts.append(block)
    except (OSError, EOFError, zlib.error):
        raise FileError("expected a gzip file, got one that is damaged or of another type") from None
    return b"".join(parts)


def _encoding(head: bytes, source: str | bytes) -> str:
    """Return the encoding of a text.

    A byte order mark decides first. Many zero bytes mean UTF-16. Otherwise it is UTF-8 if all bytes are valid UTF-8, then
    Windows-1252, or Latin-1 if the text has bytes that Windows-1252 does not define.
    """
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    # In UTF-16 every other byte of Latin text is zero. Which one it is gives the order of the bytes.
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) > 0.3 * len(head) / 2 > 0:
        return "utf-16-le" if odd > even else "utf-16-be"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with _binary(source) as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head):
            raise FileError("expected text, got other bytes; convert the file to UTF-8") from None
        with _binary(source) as file:
            undefined = any(
                re.search(rb"[\x81\x8d\x8f\x90\x9d]", block) for block in iter(lambda: file.read(BLOCK), b"")
            )
        return "latin-1" if undefined else "cp1252"
    return "utf-8"


def find_layout(source: str | bytes, usual: str, *, header: bool | None = None) -> Layout:
    """Find the layout of a text.

    Args:
        source: Path of the file, or its bytes.
        usual: Separator to try first.
        header: Whether the first line holds names; None to find it automatically.

    Raises:
        FileError: The text is empty.
        UnicodeDecodeError: The text is not UTF-8.
    """
    with opened(source) as file:
        lines = io.StringIO(file.read(SAMPLE) + file.readline()).readlines()
    skip, separator = 0, ""
    if lines and (told := re.fullmatch(r"sep=(.)\s*", lines[0], re.IGNORECASE)):
        skip, separator = 1, told[1]
    while skip < len(lines) and not lines[skip].strip():
        skip += 1
    before = skip
    while skip < len(lines) and (lines[skip].startswith("#") or not lines[skip].strip()):
        skip += 1
    comments = skip > before
    separator = separator or _separator(lines[skip : skip + LINES], usual)
    # A line such as "#a,b" above rows of two numbers holds the names of the columns, although it looks like a comment.
    if comments and _is_header(lines[skip - 1], lines[skip : skip + 1], separator):
        skip, comments = skip - 1, False
    reader = csv.reader(lines[skip:], delimiter=separator)
    first = next(reader, None)
    if first is None:
        raise FileError("expected a table, got an empty file")
    if comments or any(line.startswith("#") for line in lines[skip + 1 :]):
        comments = comments or _only_comments(lines[skip + 1 :], len(first), separator)
    first = [name.strip() for name in first]
    if first[0].startswith("#") and not comments:
        first[0] = first[0].lstrip("# ")
    rows = [row for row in _few(reader) if row]
    if header is None:
        header = not _holds_data(first)
    width = len(first)
    trailing = False
    # Some programs end each row with a separator, but not the header.
    if rows and all(len(row) == width + 1 and not row[-1].strip() for row in rows):
        trailing = True
    elif width > 1 and not first[-1] and rows and all(len(row) == width and not row[-1].strip() for row in rows):
        trailing, first = True, first[:-1]
    names = tuple(first) if header else ("",) * len(first)
    return Layout(
        separator=separator,
        skip=skip,
        header_lines=_lines_of_header(lines[skip:], separator) if header else 0,
        comments=comments,
        header=header,
        names=names,
        trailing=trailing,
    )


def _few(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield the first rows, up to a row that cannot be read."""
    with contextlib.suppress(csv.Error):
        yield from itertools.islice(reader, LINES)


def _lines_of_header(lines: list[str], separator: str) -> int:
    reader = csv.reader(lines, delimiter=separator)
    next(reader)
    return reader.line_num


def _separator(lines: list[str], usual: str) -> str:
    """Return the separator that gives all lines the same number of fields, at least two; the usual one if none does."""
    best, most = usual, 1
    for mark in dict.fromkeys((usual, ",", ";", "\t", "|")):
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        except csv.Error:
            continue
        # Data rows may have one empty field more than the header.
        # The right separator cuts all rows into equally many fields. A wrong one seldom does, as it is inside some fields only.
        if widths and len(set(widths[1:])) <= 1 and all(0 <= width - widths[0] <= 1 for width in widths):
            if mark == usual and widths[0] > 1:
                return mark
            if widths[0] > most:
                best, most = mark, widths[0]
    return best


def _is_header(line: str, following: list[str], separator: str) -> bool:
    """Return whether a line with # is the header of a table and not a comment.

    It is the header if it has as many fields as the next line, and only the next line has numbers.
    """
    names = line.lstrip("#").strip().split(separator)
    fields = following[0].strip().split(separator) if following else []
    return (
        len(fields) > 1
        and len(names) == len(fields)
        and any(map(reads_as_float, fields))
        and not any(map(reads_as_float, names))
    )


def _only_comments(lines: list[str], width: int, separator: str) -> bool:
    """Return whether all lines that begin with # have another number of fields than the header."""
    return all(len(line.split(separator)) != width for line in lines if line.startswith("#")) or width == 1


def _holds_data(first: list[str]) -> bool:
    """Return whether the first line holds data and not names: its fields are all numbers, but not 0, 1, 2 ... and not years."""
    if not all(map(reads_as_float, first)):
        return False
    values = [float(text) for text in first]
    steps = {b - a for a, b in itertools.pairwise(values)}
    counts = steps == {1.0} and values[0] in (0.0, 1.0)
    years = len(values) > 1 and all(v.is_integer() and 1800 <= v <= 2200 for v in values) and min(steps) > 0
    return not (counts or years)


def _names(layout: Layout, notes: list[Note]) -> list[str]:
    """Return different names for all columns, and add notes about new names."""
    if not layout.header:
        notes.append(Note("", f"the first line holds numbers, so the columns are named x0 to x{len(layout.names) - 1}"))
        return [f"x{i}" for i in range(len(layout.names))]
    named = [name or f"column {i + 1}" for i, name in enumerate(layout.names)]
    names = distinct_names(named)
    changed = [new for new, old in zip(names, named, strict=True) if new != old]
    if changed:
        notes.append(Note("", f"some names of columns come more than once, so there are new ones: {listed(changed)}"))
    unnamed = [new for new, old in zip(names, layout.names, strict=True) if not old][layout.names[0] == "" :]
    if unnamed:
        notes.append(Note("", f"columns without a name are named {listed(unnamed)}"))
    return names


def _parsed(
    source: str | bytes, layout: Layout, names: list[str], overrides: dict[str, Any], nulls: Sequence[str]
) -> Any:
    """Return the frame; the types of the columns are found from the first rows, or from all rows if that fails."""
    polars = load_polars("reading CSV")
    every = [*names, ""] if layout.trailing else names
    # Some versions of polars number the columns of a text without a header from 0, and others from 1.
    first = int(polars.read_csv(b"0\n", has_header=False).columns[0].rpartition("_")[2])
    types = {f"column_{i}": overrides[name] for i, name in enumerate(names, first) if name in overrides}

    def parse(rows: int | None) -> Any:
        with quiet_standard_error(), _binary(source) as file:
            frame = polars.read_csv(
                file,
                has_header=False,
                skip_lines=layout.skip + layout.header_lines,
                separator=layout.separator,
                comment_prefix="#" if layout.comments else None,
                null_values=list(nulls),
                infer_schema_length=rows,
                schema_overrides=types,
            )
        if frame.width != len(every):
            # The reader of csv and polars understand line ends or quotes differently here.
            _require_equal_lengths(source, layout)
            raise FileError(f"expected a CSV table of {len(names)} columns, got one whose lines cannot be told apart")
        return frame.rename(dict(zip(frame.columns, every, strict=True)))

    try:
        frame = parse(HEAD)
    except polars.exceptions.NoDataError:
        return polars.DataFrame({name: [] for name in every})
    except polars.exceptions.ComputeError:
        return parse(None)
    unknown = any(s.dtype == polars.String and s[:HEAD].null_count() == HEAD for s in frame.get_columns())
    return parse(None) if unknown else frame


def _leading_zeros(source: str | bytes, separator: str) -> bool:
    """Return whether a field seems to begin with a zero and another digit, as postcodes do."""
    pattern = re.compile(rb"(?:^|[\n\"" + re.escape(separator.encode()) + rb" ])[-+]?0[0-9]")
    with _binary(source) as file:
        before = b"\n"
        while block := file.read(BLOCK):
            if pattern.search(before + block):
                return True
            # A match can lie across two blocks.
            before = block[-3:]
    return False


def _require_equal_lengths(source: str | bytes, layout: Layout) -> list[bool]:
    """Return for each row after the header whether it is not blank; refuse rows with another number of fields."""
    counts = list(map(len, layout.lines(source)))
    header = next((i for i, count in enumerate(counts) if count), 0)
    fields = np.array(counts[header + layout.header :], dtype=np.int64)
    width = len(layout.names) + layout.trailing
    wrong = np.flatnonzero((fields != width) & (fields > 0))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(f"expected {width} fields in every row, got {fields[row]} in row {row + 1}")
    # In a table with one column, a blank line is a missing value.
    return ((fields > 0) | (width == 1)).tolist()


def _binary(source: str | bytes) -> BinaryIO:
    """Return an open file. Polars reads a path with *, ? or [ as a pattern for several files; an open file is one file."""
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")
