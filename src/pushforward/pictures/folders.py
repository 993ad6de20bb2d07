"""Search of folders for files of known types; other files are reported."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import listed

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
"""First bytes of files, with their type."""


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Return whether a file name ends in one of the suffixes, in any letter case, and possibly followed by dots."""
    return path.name.rstrip(". ").lower().endswith(tuple(suffixes))


def signature(data: bytes) -> str | None:
    """Return the type of a file from its first bytes, or None if it is unknown."""
    return next((kind for start, kind in SIGNATURES.items() if data.startswith(start)), None)


def find_files(folder: Path, suffixes: Sequence[str], *, deep: bool = False, warn: bool = True) -> list[Path]:
    """Return the files of a folder that have one of the suffixes, sorted by path.

    A hidden file, whose name begins with a dot, must also start with the bytes of a known type: some systems write files like
    `._a.png` beside `a.png` that are not pictures. All other files, and links to folders, are left out, with a warning
    that lists them.

    Args:
        folder: Folder to search.
        suffixes: Suffixes in lower case, with their dots.
        deep: Whether subfolders are searched too.
        warn: Whether to warn about files that are left out.

    Raises:
        OSError: The folder or a subfolder cannot be read.
    """
    found, others = list[Path](), list[Path]()
    for path in sorted(_paths_in(folder, deep=deep)):
        known = has_suffix(path, suffixes) and path.is_file() and (not path.name.startswith(".") or _begins(path))
        (found if known else others).append(path)
    if warn and others:
        logger.warning(
            "%s: %d file%s left out, not of a type that is read here: %s",
            os.fspath(folder),
            len(others),
            "s" * (len(others) != 1),
            listed([path.relative_to(folder).as_posix() for path in others], 3),
        )
    return found


def _paths_in(folder: Path, *, deep: bool) -> Iterator[Path]:
    """Yield the paths in a folder that are not folders themselves."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))] if deep else []
        yield from (Path(place, name) for name in (*files, *links))
        if not deep:
            return


def _begins(path: Path) -> bool:
    with open(path, "rb") as file:
        return signature(file.read(16)) is not None
