"""Unpacked size of Parquet and Arrow files, found from their headers before anything is unpacked, and of JSON lines files.

The footer of a Parquet file (Thrift, compact protocol) contains the position of the pages of each column, and the header of
each page contains its unpacked size. The footer of an Arrow file (FlatBuffers) contains the positions of the batches, and each
packed buffer begins with its unpacked size. Both contain the number of rows, which can be much larger than the number of bytes
suggests, because a repeated value is stored once.

References:
    Apache Parquet format, https://parquet.apache.org/docs/file-format; Apache Arrow columnar format, section
    "Serialization and interprocess communication".
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..errors import FileError

HEADER = 1 << 16
"""Number of bytes that are read for the header of a page with its statistics; a longer header is read again as a whole."""
BLOCK = 1 << 20
"""Number of bytes of a JSON lines file that are read in one step, to which the rest of the last line is added."""
NAME = re.compile(rb'"((?:[^"\\]++|\\.)*+)"\s*+:', re.DOTALL)
"""Pattern of the name of an entry in JSON."""
ENTRY = 64
"""Number of bytes in memory for each entry of a JSON lines file, present or missing, while it is read."""
NESTED = 32
"""Largest depth of nested structures in headers."""


@dataclass
class Contents:
    """Size of the content of a file.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        unpacked: Size of the unpacked pages or buffers, in bytes.
    """

    rows: int = 0
    columns: int = 0
    unpacked: int = 0

    @property
    def size(self) -> int:
        """Size in memory, in bytes, with at least eight bytes for each entry."""
        return max(self.unpacked, 8 * self.rows * self.columns)


class _Damaged(Exception):
    """Error for a header that does not follow the format."""


def parquet_contents(path: str) -> Contents:
    """Return the unpacked size of a Parquet file.

    Raises:
        FileError: The file is damaged.
    """
    return _measured(path, _parquet, ".parquet")


def arrow_contents(path: str) -> Contents:
    """Return the unpacked size of an Arrow (Feather) file.

    Raises:
        FileError: The file is damaged.
    """
    return _measured(path, _arrow, ".arrow")


def json_contents(path: str) -> Contents:
    """Return the size of a JSON lines file, from its number of lines and its number of different names.

    An entry that is missing in some lines takes memory in all lines. Names inside nested records are counted as well, although
    such records are refused later.
    """
    names: set[bytes] = set()
    rows = 0
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(BLOCK) + file.readline(), b""):
            names.update(NAME.findall(block))
            rows += block.count(b"\n")
    return Contents(rows + 1, len(names), ENTRY * (rows + 1) * len(names))


def _measured(path: str, measure: Any, suffix: str) -> Contents:
    try:
        with open(path, "rb") as file:
            found: Contents = measure(file)
    except (_Damaged, struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError):
        raise FileError(f"expected a {suffix} file, got one that is damaged or of another type") from None
    return found


def _require_part(file: BinaryIO, offset: int, length: int) -> None:
    size = file.seek(0, 2)
    if not 0 <= offset <= size or not 0 <= length <= size - offset:
        raise _Damaged


def _part(file: BinaryIO, offset: int, length: int) -> bytes:
    _require_part(file, offset, length)
    file.seek(offset)
    return file.read(length)


# --- Parquet --------------------------------------------------------------------------------------------------------------


def _parquet(file: BinaryIO) -> Contents:
    size = file.seek(0, 2)
    tail = _part(file, size - 8, 8)
    if tail[4:] != b"PAR1":
        raise _Damaged
    length = int.from_bytes(tail[:4], "little")
    footer = _Thrift(_part(file, size - 8 - length, length)).structure()
    found = Contents(rows=_count(footer[3]))
    for group in footer.get(4, []):
        found.columns = max(found.columns, len(group[1]))
        values = 0
        for chunk in group[1]:
            packed, counted = _pages(file, chunk[3])
            found.unpacked += packed
            values = max(values, counted)
        found.rows = max(found.rows, values)
    return found


def _pages(file: BinaryIO, chunk: dict[int, Any]) -> tuple[int, int]:
    """Return the unpacked bytes and the number of values of all pages of a column in a group of rows."""
    at = min(offset for offset in (chunk[9], chunk.get(11, 0) or chunk[9]) if offset > 0)
    end = at + _count(chunk[7])
    unpacked = values = 0
    while at < end:
        page, length = _page_header(file, at)
        unpacked += _count(page[2])
        for kind in (5, 8):
            values += _count(page.get(kind, {}).get(1, 0))
        at += length + _count(page[3])
    return unpacked, max(values, _count(chunk[5]))


def _page_header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    left = file.seek(0, 2) - at
    for length in (HEADER, left):
        reader = _Thrift(_part(file, at, min(length, left)))
        try:
            return reader.structure(), reader.at
        except IndexError:
            if length >= left:
                raise
    raise _Damaged


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise _Damaged
    return value


class _Thrift:
    """Reader of the compact protocol of Thrift; a structure becomes a dictionary from the numbers of its fields to values."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def structure(self, depth: int = 0) -> dict[int, Any]:
        if depth > NESTED:
            raise _Damaged
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            step, kind = head >> 4, head & 15
            number = number + step if step else self._signed()
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._unsigned())
        if kind in (9, 10):
            return self._list(depth + 1)
        if kind == 12:
            return self.structure(depth + 1)
        raise _Damaged

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._unsigned()
        if depth > NESTED or count > len(self.data) - self.at:
            raise _Damaged
        return [self._value(kind, depth) for _ in range(count)]

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise IndexError
        self.at += length
        return self.data[self.at - length : self.at]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 70:
                raise _Damaged

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)


# --- Arrow ----------------------------------------------------------------------------------------------------------------


def _arrow(file: BinaryIO) -> Contents:
    size = file.seek(0, 2)
    tail = _part(file, size - 10, 10)
    if tail[4:] != b"ARROW1":
        raise _Damaged
    length = int.from_bytes(tail[:4], "little")
    footer = _Flat.root(_part(file, size - 10 - length, length))
    found = Contents()
    for vector in (2, 3):
        for place in footer.structs(vector, 24):
            offset, meta, body = struct.unpack_from("<qi4xq", footer.data, place)
            rows, columns, unpacked = _batch(file, offset, meta, body, dictionary=vector == 2)
            found.unpacked += unpacked
            if vector == 3:
                found.rows += rows
                found.columns = max(found.columns, columns)
    return found


def _batch(file: BinaryIO, offset: int, meta: int, body: int, *, dictionary: bool) -> tuple[int, int, int]:
    """Return the rows, the columns and the unpacked bytes of a batch."""
    data = _part(file, offset, meta)
    _require_part(file, offset + meta, body)
    start = 8 if data[:4] == b"\xff\xff\xff\xff" else 4
    batch = _Flat.root(data[start:]).table(2)
    if dictionary:
        batch = batch.table(1)
    rows = _count(batch.number(0, "<q"))
    packed, unpacked = batch.has(3), 0
    for place in batch.structs(2, 16):
        at, length = struct.unpack_from("<qq", batch.data, place)
        if at < 0 or not 0 <= length <= body - at:
            raise _Damaged
        if packed and length >= 8:
            (promised,) = struct.unpack("<q", _part(file, offset + meta + at, 8))
            length = length if promised < 0 else promised
        unpacked += _count(length)
    return rows, len(batch.structs(1, 16)), unpacked


class _Flat:
    """Table of FlatBuffers, whose fields are found through a second table of offsets."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.fields = at - struct.unpack_from("<i", data, at)[0]
        if not 0 <= self.fields < len(data):
            raise _Damaged

    @classmethod
    def root(cls, data: bytes) -> _Flat:
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def has(self, number: int) -> bool:
        return self._place(number) > 0

    def number(self, number: int, form: str) -> int:
        return int(struct.unpack_from(form, self.data, self._place(number))[0]) if self.has(number) else 0

    def table(self, number: int) -> _Flat:
        if not self.has(number):
            raise _Damaged
        return _Flat(self.data, self._target(number))

    def structs(self, number: int, size: int) -> range:
        """Return the positions of the structures in a vector; an empty range if there is no vector."""
        if not self.has(number):
            return range(0)
        start = self._target(number)
        count = struct.unpack_from("<I", self.data, start)[0]
        if count * size > len(self.data) - start:
            raise _Damaged
        return range(start + 4, start + 4 + count * size, size)

    def _place(self, number: int) -> int:
        length = struct.unpack_from("<H", self.data, self.fields)[0]
        if 4 + 2 * number >= length:
            return 0
        offset = struct.unpack_from("<H", self.data, self.fields + 4 + 2 * number)[0]
        return self.at + offset if offset else 0

    def _target(self, number: int) -> int:
        place = self._place(number)
        return int(place + struct.unpack_from("<I", self.data, place)[0])
