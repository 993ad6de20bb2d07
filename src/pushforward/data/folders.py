"""Files of known types in folders, and the files there that are left out."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from .formats import listed

logger = logging.getLogger("pushforward.data")
TIFF = "tiff"
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
    b"RIFF": "webp",
    b"\x93NUMPY": "npy",
}
"""First bytes of files by type."""


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether the name of a file ends in one of the suffixes, in small or capital letters, and perhaps in dots after them."""
    return path.name.rstrip(". ").lower().endswith(tuple(suffixes))


def signature(data: bytes) -> str | None:
    """Return the type of file that some first bytes belong to, or None if it is not known."""
    return next((kind for start, kind in SIGNATURES.items() if data.startswith(start)), None)


def find_files(folder: Path, suffixes: Sequence[str], *, deep: bool = False, warn: bool = True) -> list[Path]:
    """Return the files of a folder that have one of the suffixes, sorted by path.

    A hidden file, whose name begins with a dot, must also begin as such files do: systems write files like `._a.png` beside
    `a.png` that are no pictures. All other files are left out, with a warning that names them.

    Args:
        folder: The folder.
        suffixes: Suffixes in small letters, with their dots.
        deep: Whether folders below it are searched too.
        warn: Whether to warn of files that are left out.

    Raises:
        OSError: The folder cannot be read.
    """
    files = sorted(path for path in (folder.rglob("*") if deep else folder.iterdir()) if path.is_file())
    found = [path for path in files if has_suffix(path, suffixes) and (not path.name.startswith(".") or _begins(path))]
    if warn and len(found) < len(files):
        kept = set(found)
        names = [path.relative_to(folder).as_posix() for path in files if path not in kept]
        logger.warning(
            "%s: %d file%s left out, not of a type that is read here: %s",
            os.fspath(folder),
            len(names),
            "s" * (len(names) != 1),
            listed(names, 3),
        )
    return found


def _begins(path: Path) -> bool:
    with open(path, "rb") as file:
        return signature(file.read(16)) is not None
