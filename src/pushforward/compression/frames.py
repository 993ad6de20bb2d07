"""Split of files into pixels and a frame, the bytes of the file before and after its pixels.

The model codes the pixels, and the frame is stored unchanged. It contains everything else in the file: transparency, colour
profile, resolution, orientation, text, the header of an array. Frame and pixels together restore the file: an .npy array, an
uncompressed BMP or TIFF byte for byte, a PNG with the same chunks and newly deflated pixels. Files that cannot be split in this
way are stored as bytes.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..pictures.picture_files import load_pillow
from ..pictures.png import SIGNATURE, png_chunks

Array = np.ndarray[Any, np.dtype[Any]]
PNG, BMP, ROWS = "png", "bmp", "rows"
"""Layouts of pixels: deflated in PNG chunks, rows of BMP from the bottom up, and rows from the top down."""
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
"""Modes of Pillow with pixels of one byte per channel that a file can store unchanged, with their channels."""
COLOURS = {0: "L", 4: "LA", 2: "RGB", 6: "RGBA"}
"""Colour types of PNG for these modes."""
LARGEST = 1 << 16
"""Largest number of bytes of a frame; a file with more bytes around its pixels is stored as bytes."""


@dataclass(frozen=True)
class FileFrame:
    """Bytes of a file around its pixels.

    Args:
        layout: Layout of the pixels in the file: `PNG`, `BMP` or `ROWS`; the first two have one picture.
        before: Bytes before the pixels.
        after: Bytes after the pixels.
    """

    layout: str
    before: bytes
    after: bytes


def split(data: bytes, kind: str, mode: str, pixels: Array) -> FileFrame | None:
    """Return the frame of a picture file, or None if a frame and these pixels do not restore the file.

    Args:
        data: Bytes of the whole file.
        kind: Name of the format in Pillow.
        mode: Mode of the picture in Pillow.
        pixels: Pixels of the picture, (H, W, C) of bytes.
    """
    if mode not in MODES or pixels.dtype != np.uint8 or not pixels.size:
        return None
    if kind == "PNG":
        frame = _split_png(data, mode)
    elif kind in ("BMP", "TIFF"):
        frame = _split_plain(data, BMP if kind == "BMP" else ROWS, pixels)
    else:
        return None
    return frame if frame is not None and len(frame.before) + len(frame.after) <= LARGEST else None


def split_array(path: Path, array: Array) -> FileFrame | None:
    """Return the frame of an .npy file whose entries are stored in index order, or None.

    Args:
        path: Path of the file.
        array: Array mapped from the file.
    """
    offset = getattr(array, "offset", None)
    if offset is None or not array.flags.c_contiguous or not array.size:
        return None
    with open(path, "rb") as file:
        before = file.read(offset)
        file.seek(offset + array.nbytes)
        after = file.read(LARGEST + 1)
    return FileFrame(ROWS, before, after) if len(before) + len(after) <= LARGEST else None


def join(frame: FileFrame, pixels: Array) -> bytes:
    """Return the file with a frame and its pixels, (N, H, W, C) of bytes, where N is 1 for `PNG` and `BMP`.

    Raises:
        FileError: Pillow is missing, or cannot encode the pixels.
    """
    if frame.layout != PNG:
        rows = pixels if frame.layout == ROWS else pixels[0]
        return frame.before + _plain(frame.layout, rows) + frame.after
    file = encoded(pixels[0], "PNG")
    parts = [file[begin:end] for name, begin, end in png_chunks(io.BytesIO(file)) if name == b"IDAT"]
    return frame.before + b"".join(parts) + frame.after


def encoded(picture: Array, kind: str) -> bytes:
    """Return a picture (H, W), or (H, W, C) of bytes, as the bytes of a lossless "PNG" or "WEBP" file.

    Raises:
        FileError: Pillow is missing, or cannot write this dtype.
    """
    flat = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    options: dict[str, Any] = {"optimize": True} if kind == "PNG" else {"lossless": True, "quality": 100, "method": 4}
    buffer = io.BytesIO()
    try:
        load_pillow("a picture").fromarray(np.ascontiguousarray(flat)).save(buffer, kind, **options)
    except (TypeError, ValueError, OSError, SystemError):
        raise FileError(
            f"expected pixels that Pillow can write as {kind}, got {picture.dtype} of shape {picture.shape}; "
            "use pushforward.compression.Archive to read them as an array"
        ) from None
    return buffer.getvalue()


def _split_png(data: bytes, mode: str) -> FileFrame | None:
    """Return the chunks before and after the pixels, if a file is one picture with 8 bits per channel, not interlaced."""
    if not data.startswith(SIGNATURE):
        return None
    found = list(png_chunks(io.BytesIO(data)))
    pixels = [i for i, (name, _, _) in enumerate(found) if name == b"IDAT"]
    names = [name for name, _, _ in found]
    if names[:1] != [b"IHDR"] or names[-1] != b"IEND" or not pixels or b"acTL" in names:
        return None
    if pixels[-1] - pixels[0] + 1 != len(pixels):
        return None
    depth, colour, _, _, interlaced = data[24:29]
    if depth != 8 or COLOURS.get(colour) != mode or interlaced:
        return None
    if any(
        zlib.crc32(data[begin + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big") for _, begin, end in found
    ):
        return None
    return FileFrame(PNG, data[: found[pixels[0]][1]], data[found[pixels[-1]][2] :])


def _split_plain(data: bytes, layout: str, pixels: Array) -> FileFrame | None:
    """Return the bytes around uncompressed pixels, if they are contiguous in the file."""
    rows = _plain(layout, pixels)
    at = data.find(rows)
    return None if at < 0 else FileFrame(layout, data[:at], data[at + len(rows) :])


def _plain(layout: str, pixels: Array) -> bytes:
    """Return uncompressed pixels in the layout of a file."""
    if layout == ROWS:
        return np.ascontiguousarray(pixels).tobytes()
    height, width, channels = pixels.shape
    order = [2, 1, 0, 3][:channels] if channels >= 3 else list(range(channels))
    # BMP stores rows from the bottom up, colours as blue, green, red, and pads rows to four bytes.
    rows = pixels[::-1][..., order].reshape(height, width * channels)
    return np.pad(rows, ((0, 0), (0, -width * channels % 4))).tobytes()
