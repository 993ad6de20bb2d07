"""Manifests: lists of the items that begin in a block, as plain values in the file and as entries in memory."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from .allocation import LARGEST_ITEM, MOST_DIMENSIONS, volume
from .frames import BMP, PNG, ROWS, FileFrame

DTYPE = re.compile(r"[<>|][buifc][0-9]{1,2}")
"""Dtypes of arrays: booleans, integers, real and complex numbers."""


@dataclass(frozen=True)
class Entry:
    """Item of an archive.

    Args:
        name: Path, below a folder, to which the item is restored.
        mode: Kind of the item, see `Item`.
        shape: Shape of its array.
        block: Index of the block in which it begins.
        first: Index of its first event; 0 for an item that is stored unchanged.
        dtype: Dtype of an item that is stored unchanged; empty for events.
        frame: Bytes of the picture file around the pixels, if they are kept.
    """

    name: str
    mode: str
    shape: tuple[int, ...]
    block: int
    first: int
    dtype: str = ""
    frame: FileFrame | None = None


def listed(name: str, mode: str, shape: tuple[int, ...], last: int | str, frame: FileFrame | None) -> list[Any]:
    """Return an item as a list of plain values: name, mode, shape, first event in the block or dtype, and frame, if any."""
    value: list[Any] = [name, mode, list(shape), last]
    if frame is not None:
        value.append([frame.layout, *(base64.b64encode(part).decode() for part in (frame.before, frame.after))])
    return value


def entry_of(value: Any, block: int, first: int, events: int) -> Entry | None:
    """Return the item that a value from a manifest describes, or None if the value is invalid.

    Args:
        value: Value from the file, of any type.
        block: Index of the block.
        first: Index of the block's first event.
        events: Number of events in the block.
    """
    if not isinstance(value, list) or len(value) not in (4, 5):
        return None
    name, mode, shape, last = value[:4]
    if not isinstance(name, str) or not isinstance(mode, str) or not _is_shape(shape):
        return None
    frame = _frame(value[4]) if len(value) == 5 else None
    if len(value) == 5 and (frame is None or len(shape) != 4 or (frame.layout != ROWS and shape[0] != 1)):
        return None
    if isinstance(last, str):
        known = _is_dtype(last)
        return Entry(name, mode, tuple(shape), block, 0, last, frame) if known and mode != "events" else None
    dimensions = bool(shape) if mode == "events" else len(shape) == 4 and mode not in ("raw", "file")
    # An item without events may begin at the end of the block.
    if type(last) is not int or not 0 <= last <= events or not dimensions:
        return None
    return Entry(name, mode, tuple(shape), block, first + last, "", frame)


def _is_shape(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MOST_DIMENSIONS:
        return False
    return all(type(n) is int and 0 <= n <= LARGEST_ITEM for n in value) and volume(value) <= LARGEST_ITEM


def _is_dtype(text: str) -> bool:
    try:
        return DTYPE.fullmatch(text) is not None and np.dtype(text).itemsize > 0
    except TypeError:
        return False


def _frame(value: Any) -> FileFrame | None:
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(part, str) for part in value):
        return None
    try:
        before, after = (base64.b64decode(part, validate=True) for part in value[1:])
    except (binascii.Error, ValueError):
        return None
    return FileFrame(value[0], before, after) if value[0] in (PNG, BMP, ROWS) else None
