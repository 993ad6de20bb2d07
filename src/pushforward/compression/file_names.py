"""Names of items, and the file paths to which they are restored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..errors import FileError
from ..output import atomic_output, reason
from .manifest import Entry

ARRAY_MODES = ("array", "grey array", "events")
FORBIDDEN = '\\:*?"<>|'
"""Characters that Windows does not allow in names, or treats as parts of a path."""


def safe_name(name: str, *, windows: bool = os.name == "nt") -> str:
    """Return a name if it is a valid path below a folder on this system.

    Raises:
        FileError: The name leads out of the folder, or this system does not allow it.
    """
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise FileError(f"the archive holds the name {name!r}, which leads out of the folder; it is not restored")
    try:
        os.fsencode(name)
        known = not (windows and (set(FORBIDDEN) & set(name) or any(part != part.rstrip(". ") for part in parts)))
    except UnicodeEncodeError:
        known = False
    if not known:
        raise FileError(
            f"the archive holds the name {name!r}, which this system does not allow; restore it on the system it is from"
        )
    return name


def restored_names(entries: Sequence[Entry]) -> list[str]:
    """Return the names of the files to which items are restored, all different.

    An item keeps its name if the file has the format that the name implies. Otherwise .png or .npy is appended: this concerns
    pictures of archives without frames, and arrays that were given other names in Python.
    """
    endings = [_ending(entry) for entry in entries]
    taken = {entry.name for entry, ending in zip(entries, endings, strict=True) if not ending}
    names = []
    for entry, ending in zip(entries, endings, strict=True):
        name = entry.name + ending
        while ending and name in taken:
            name += ending
        taken.add(name)
        names.append(name)
    return names


def is_array(entry: Entry) -> bool:
    """Return whether an item is restored as an .npy file, because it is not one picture with 8 or 16 bits per channel."""
    if PurePosixPath(entry.name).suffix.lower() == ".npy" or entry.mode in ARRAY_MODES:
        return True
    if not entry.dtype:
        return entry.shape[0] != 1
    picture = len(entry.shape) == 2 and entry.dtype in ("|u1", "<u2", ">u2")
    return not picture and not (len(entry.shape) == 4 and entry.shape[0] == 1 and entry.dtype == "|u1")


def _ending(entry: Entry) -> str:
    if entry.mode == "file" or entry.frame is not None:
        return ""
    wanted = ".npy" if is_array(entry) else ".png"
    return "" if PurePosixPath(entry.name).suffix.lower() == wanted else wanted


class Restored:
    """Files that are restored to a folder; no file replaces another one.

    Args:
        folder: Folder, created when it is needed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = folder
        self._seen: dict[tuple[int, int], str] = {}
        self.paths: list[str] = []
        """Paths of the files, in the order in which they were added."""

    def add(self, name: str, data: bytes) -> None:
        """Write a file below the folder.

        Raises:
            FileError: The file cannot be written, its name or a link leads out of the folder, or this system does not
                distinguish its name from that of a file restored before (for example if they differ in letter case only).
        """
        target = Path(self._folder) / safe_name(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            inside = Path(os.path.realpath(target)).is_relative_to(os.path.realpath(self._folder))
            other = self._seen.get(_identity(target)) if target.exists() else None
        except OSError as error:
            raise FileError(f"{str(target)!r} cannot be written: {reason(error)}") from None
        if not inside:
            raise FileError(f"{str(target)!r} leads out of {self._folder} through a link; give another folder")
        if other is not None:
            raise FileError(f"{name!r} and {other!r} are one name on this system; restore one of them with --only")
        with atomic_output(target) as temporary:
            temporary.write_bytes(data)
        self._seen[_identity(target)] = name
        self.paths.append(os.fspath(target))


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
