"""File format of archives: layout, detection of damage, and recovery of the undamaged parts.

All numbers are little-endian. Every part has a CRC-32 of its own bytes, and the trailer has one of the whole file, so every
flipped bit is found. Blocks start with a marker and list the items that begin in them. The index at the end has the
places of the blocks and a copy of the header. A single damage therefore destroys at most one block.

    start      89 50 46 5A 0D 0A 1A 0A, version u16, length u32, header (JSON, deflated), CRC-32 u32 of all before
    block      "PFZB", kind u8, events u32, number of the first of them u64, length of the manifest u32, of the payload u32,
               CRC-32 u32 of the decoded events, manifest (JSON, deflated), payload, CRC-32 u32 of the block before this
    index      "PFZI", length u32, header and places of the blocks (JSON, deflated), CRC-32 u32 of the index before this
    trailer    "PFZE", place of the index u64, length of the file u64, CRC-32 u32 of the file before the trailer,
               CRC-32 u32 of the trailer before this
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Self

from ..errors import FileError
from ..output import reason
from .allocation import MOST_TEXT

MAGIC = b"\x89PFZ\r\n\x1a\n"
VERSION = 2
"""Version of the format. Version 1, which has no frames in its manifests, can be read too."""
START = struct.Struct("<8sHI")
BLOCK = struct.Struct("<4sBIQIII")
INDEX = struct.Struct("<4sI")
TRAILER = struct.Struct("<4sQQII")
CRC = struct.Struct("<I")
CODED, STORED, RAW = 0, 1, 2
"""Kinds of blocks: coded events, deflated events, and a deflated item that is not made of events."""
LEAST = BLOCK.size + CRC.size
"""Number of bytes of the shortest block."""


@dataclass(frozen=True)
class Block:
    """Block of an archive.

    Args:
        kind: Kind of the block: CODED, STORED or RAW.
        events: Number of events; 0 in a RAW block.
        first: Index of the block's first event in the archive.
        items: Items that begin in the block, as plain values.
        payload: Bytes of the events, or of the item.
        crc: CRC-32 of the decoded events, or of the item.
    """

    kind: int
    events: int
    first: int
    items: list[Any]
    payload: bytes
    crc: int


class Writer:
    """Writer of an archive, from start to end.

    Args:
        file: File open for writing.
        header: Header, a dictionary of plain values.
    """

    def __init__(self, file: BinaryIO, header: dict[str, Any]) -> None:
        self._file, self._header = file, header
        self._crc, self.size, self._places = 0, 0, list[list[int]]()
        text = deflated(header)
        start = START.pack(MAGIC, VERSION, len(text)) + text
        self._write(start + CRC.pack(zlib.crc32(start)))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)
        self.size += len(data)

    def add(self, block: Block) -> None:
        """Write a block."""
        manifest = deflated(block.items) if block.items else b""
        head = BLOCK.pack(b"PFZB", block.kind, block.events, block.first, len(manifest), len(block.payload), block.crc)
        data = head + manifest + block.payload
        self._places.append([self.size, len(data) + CRC.size, block.events, block.first])
        self._write(data + CRC.pack(zlib.crc32(data)))

    def finish(self) -> None:
        """Write the index and the trailer."""
        place = self.size
        text = deflated({"header": self._header, "blocks": self._places})
        index = INDEX.pack(b"PFZI", len(text)) + text
        self._write(index + CRC.pack(zlib.crc32(index)))
        trailer = TRAILER.pack(b"PFZE", place, self.size + TRAILER.size, self._crc, 0)[: -CRC.size]
        self._write(trailer + CRC.pack(zlib.crc32(trailer)))


class Reader:
    """Reader of the blocks of an archive, damaged or not. Close it, or use it in a `with` statement.

    Args:
        path: Path of the archive.

    Raises:
        FileError: The file cannot be read, is not an archive, has a newer version, or has lost both copies of its header.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.damage: list[str] = []
        """Messages about damage."""
        try:
            self._size = os.path.getsize(path)
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115  (closed by `close`)
        except OSError as error:
            raise FileError(f"{self.path} cannot be read: {reason(error)}") from None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        index = self._index()
        header = self._start()
        if header is None and index is None:
            raise FileError(f"{self.path} is not an archive of pushforward, or is truncated or damaged at both ends")
        if header is None:
            self.damage.append("the header is damaged; its copy was used")
        copy = None if index is None else index["header"]
        self.header: dict[str, Any] = copy if header is None else header  # type: ignore[assignment]
        self.places = self._scanned() if index is None else index["blocks"]

    def _bytes(self, place: int, length: int) -> bytes:
        """Return bytes of the file; fewer than `length` at its end, and never more than it has."""
        if not 0 <= place <= self._size:
            return b""
        self._file.seek(place)
        return self._file.read(min(max(length, 0), self._size - place))

    def _start(self) -> dict[str, Any] | None:
        head = self._bytes(0, START.size)
        if len(head) < START.size:
            return None
        magic, version, length = START.unpack(head)
        data = self._bytes(0, START.size + length + CRC.size)
        whole = len(data) == START.size + length + CRC.size and _sound(data)
        if magic == MAGIC and version > VERSION and whole:
            raise FileError(f"{self.path} has version {version}; this one reads up to {VERSION}, so update pushforward")
        header = inflated(data[START.size : -CRC.size]) if whole and magic == MAGIC else None
        return header if isinstance(header, dict) else None

    def _index(self) -> dict[str, Any] | None:
        data = self._bytes(self._size - TRAILER.size, TRAILER.size)
        if len(data) < TRAILER.size or not _sound(data):
            self.damage.append("the end of the file is missing or damaged")
            return None
        magic, place, size, self._crc, _ = TRAILER.unpack(data)
        if magic != b"PFZE" or size != self._size:
            self.damage.append("the file does not have the length that is stored in it")
            return None
        data = self._bytes(place, self._size - TRAILER.size - place)
        if len(data) > INDEX.size + CRC.size and _sound(data):
            # The text for a block is about as long as the shortest block, so it is bounded by the size of the file.
            text = inflated(data[INDEX.size : -CRC.size], MOST_TEXT + 2 * self._size)
            if isinstance(text, dict) and isinstance(text.get("header"), dict) and _places(text.get("blocks"), place):
                return text
        self.damage.append("the index is damaged")
        return None

    def _scanned(self) -> list[list[int]]:
        """Return the places of the blocks, found by their markers, for a file whose index is lost."""
        places, at = [], 0
        chunk = 1 << 20
        while at < self._size:
            found = self._bytes(at, chunk).find(b"PFZB")
            if found < 0:
                at += chunk - 3
                # Keep three bytes: the marker may lie across the end of the chunk.
                continue
            at += found
            head = self._bytes(at, BLOCK.size)
            length = 0
            if len(head) == BLOCK.size:
                _, _, events, first, manifest, payload, _ = BLOCK.unpack(head)
                length = BLOCK.size + manifest + payload + CRC.size
            if length and at + length <= self._size and _sound(self._bytes(at, length)):
                places.append([at, length, events, first])
                at += length
            else:
                at += 4
        return places

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.places)

    def block(self, i: int) -> Block | None:
        """Return a block, or None if it is damaged."""
        place, length, events, begin = self.places[i]
        data = self._bytes(place, length)
        if len(data) != length or length < LEAST or not _sound(data):
            return None
        magic, kind, count, first, manifest, payload, crc = BLOCK.unpack_from(data)
        if magic != b"PFZB" or kind > RAW or (count, first) != (events, begin):
            return None
        if BLOCK.size + manifest + payload + CRC.size != length:
            return None
        items = inflated(data[BLOCK.size : BLOCK.size + manifest]) if manifest else []
        if not isinstance(items, list):
            return None
        return Block(kind, count, first, items, data[BLOCK.size + manifest : -CRC.size], crc)

    @property
    def size(self) -> int:
        """Number of bytes of the file."""
        return self._size

    def items(self, i: int) -> list[Any]:
        """Return the items that begin in a block, of any type; the block is not checked."""
        head = self._bytes(self.places[i][0], BLOCK.size)
        length = BLOCK.unpack(head)[4] if len(head) == BLOCK.size else 0
        found = inflated(self._bytes(self.places[i][0] + BLOCK.size, length)) if length else []
        return found if isinstance(found, list) else []

    def check(self) -> Iterator[str]:
        """Yield messages about damage, including damage that only the checksum of the whole file shows."""
        yield from self.damage
        if self.damage:
            return
        total, at, end = 0, 0, self._size - TRAILER.size
        while at < end:
            data = self._bytes(at, min(1 << 20, end - at))
            total, at = zlib.crc32(data, total), at + len(data)
        if total != self._crc:
            yield "the checksum of the whole file differs from the one stored in it"


def deflated(value: Any) -> bytes:
    """Return plain values as deflated JSON."""
    # In ASCII: file names that are not UTF-8 contain lone surrogates, which JSON can escape and UTF-8 cannot encode.
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode("ascii"), 9)


def inflated(data: bytes, most: int = MOST_TEXT) -> Any:
    """Return the plain values of `deflated`; None for bytes that are invalid or inflate to more than `most` bytes."""
    text = unpacked(data, most)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def unpacked(data: bytes, most: int) -> bytes | None:
    """Return inflated bytes; None if they are damaged or more than `most`."""
    worker = zlib.decompressobj()
    try:
        found = worker.decompress(data, most + 1)
    except zlib.error:
        return None
    return found if worker.eof and len(found) <= most and not worker.unused_data else None


def _sound(data: bytes) -> bool:
    """Return whether the last four bytes are the CRC-32 of the bytes before."""
    return len(data) > CRC.size and zlib.crc32(data[: -CRC.size]) == CRC.unpack(data[-CRC.size :])[0]


def _places(value: Any, end: int) -> bool:
    """Return whether a value from a file is a list of places of blocks, in order, without overlap, and before `end`."""
    if not isinstance(value, list):
        return False
    before = 0
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 4 or not all(type(n) is int and n >= 0 for n in entry):
            return False
        place, length, events, first = entry
        if place < before or length < LEAST or place + length > end or events >= 1 << 32 or first >= 1 << 62:
            return False
        before = place + length
    return True
