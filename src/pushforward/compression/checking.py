"""Verification of a written archive: it is decoded with the same reader that users have, and compared with the input."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Distribution
from ..errors import FileError
from .archive import Archive
from .frames import FileFrame
from .manifest import Entry

Array = np.ndarray[Any, np.dtype[Any]]
Compare = Callable[[Entry, Array], None]


@dataclass(frozen=True)
class Facts:
    """Properties of an item that must be equal before writing and after reading.

    Args:
        mode: Kind of the item.
        shape: Shape of its array.
        dtype: Dtype of its entries.
        digest: SHA-256 of its bytes in index order.
        frame: Bytes of the picture file around the pixels, if they are kept.
    """

    mode: str
    shape: tuple[int, ...]
    dtype: str
    digest: bytes
    frame: FileFrame | None


def facts(mode: str, array: Array, frame: FileFrame | None) -> Facts:
    """Return the properties of an item."""
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
    return Facts(mode, tuple(array.shape), array.dtype.str, digest, frame)


def verify_archive(
    path: str | os.PathLike[str],
    expected: Mapping[str, Facts],
    model: Distribution,
    *,
    spec: dict[str, Any] | None = None,
    workers: int = 1,
    compare: Compare | None = None,
) -> None:
    """Decode every item of a written archive and compare it with the input.

    Args:
        path: Path of the archive.
        expected: Properties of the items by name.
        model: Model with which the archive was written.
        spec: Description of the model.
        workers: Number of threads that decode blocks in advance.
        compare: Further comparison, called with the entry and the array of each item; it raises `FileError` if they differ.

    Raises:
        FileError: The archive is damaged, or an item differs.
    """
    try:
        with Archive(path, model, spec=spec, workers=workers) as archive:
            if problems := archive.check():
                raise FileError(problems[0])
            if sorted(archive.names) != sorted(expected):
                raise FileError(f"it holds {len(archive):,} items with other names than the {len(expected):,} given")
            for i, entry in enumerate(archive.entries):
                array = archive.read(i)
                if facts(entry.mode, array, entry.frame) != expected[entry.name]:
                    raise FileError(f"{entry.name!r} was read back with other values")
                if compare is not None:
                    compare(entry, array)
    except FileError as error:
        raise FileError(
            f"expected the written archive to restore every item exactly, got a difference ({error}); "
            "no archive was kept, so try again and report it if it repeats"
        ) from None
