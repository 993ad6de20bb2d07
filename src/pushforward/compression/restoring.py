"""Restoration of the items of an archive to files; damaged items are skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..errors import FileError
from ..output import reason
from . import sources
from .archive import Archive
from .file_names import Restored, restored_names


@dataclass
class Restoration:
    """Result of restoring items.

    Args:
        paths: Names of the files that were written.
        lost: Names of the items that are damaged.
        unwritten: Messages about files that could not be written.
        values: Number of restored values.
    """

    paths: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)
    values: int = 0


def restore(
    archive: Archive, wanted: Iterable[int], folder: str, name: str, tell: Callable[[str], None]
) -> Restoration:
    """Write items to files in a folder; a damaged item is reported and skipped.

    Args:
        archive: Open archive, with its model.
        wanted: Indices of the items.
        folder: Folder, created when it is needed.
        name: Name of the archive, for messages.
        tell: Function that receives a message about each lost item.

    Raises:
        FileError: The folder cannot be created.
    """
    names, files, found = restored_names(archive.entries), Restored(folder), Restoration()
    found.paths = files.paths
    for i in wanted:
        entry = archive.entries[i]
        try:
            array = archive.read(i)
            content = sources.file_of(entry, array)
        except (FileError, MemoryError) as error:
            found.lost.append(entry.name)
            full = isinstance(error, MemoryError)
            tell(f"{name}: {entry.name!r} does not fit into memory" if full else str(error))
            continue
        try:
            files.add(names[i], content)
        except FileError as error:
            found.unwritten.append(str(error))
            continue
        found.values += array.size
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder} cannot be written: {reason(error)}") from None
    return found
