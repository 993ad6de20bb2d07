"""Parsing of the chunks of PNG files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK = struct.Struct(">I4s")
EXIF = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
"""Chunks in which the orientation of a picture may be stored."""


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, begin and end of each chunk of a PNG file, to the IEND chunk or the end of the file.

    Args:
        file: File that is open for reading; its position changes.
    """
    size = file.seek(0, 2)
    at = len(SIGNATURE)
    while at + CHUNK.size <= size:
        file.seek(at)
        length, name = CHUNK.unpack(file.read(CHUNK.size))
        end = at + CHUNK.size + length + 4
        if end > size:
            return
        yield name, at, end
        if name == b"IEND":
            return
        at = end


def exif_follows_pixels(file: BinaryIO) -> bool:
    """Return whether a PNG file has chunks after its pixels that may contain the orientation; the file position is kept."""
    before = file.tell()
    pixels = False
    try:
        for name, _, _ in png_chunks(file):
            pixels |= name == b"IDAT"
            if pixels and name in EXIF:
                return True
        return False
    finally:
        file.seek(before)
