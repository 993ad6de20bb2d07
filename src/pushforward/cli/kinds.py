"""Whether a source, or a model, is one of tables or of pictures."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

from numpy.lib import format as npy

PICTURE_FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def pictures_in(source: str) -> bool:
    """Whether a source holds pictures: a named data set, a folder, a picture, or an array of at least three dimensions."""
    from ..data import DATASETS

    if source in DATASETS or os.path.isdir(source):
        return True
    suffix = Path(source).suffix.lower()
    if suffix in PICTURE_FILES:
        return True
    try:
        if suffix == ".npy":
            with open(source, "rb") as file:
                return _dimensions(file) >= 3
        if suffix == ".npz":
            with zipfile.ZipFile(source) as archive:
                return any(_member_dimensions(archive, name) >= 3 for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        # Whoever reads the file as a table has a sentence for it.
        return False
    return False


def _member_dimensions(archive: zipfile.ZipFile, name: str) -> int:
    with archive.open(name) as file:
        return _dimensions(file)


def _dimensions(file: Any) -> int:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return len(read(file)[0])


def models_pictures(path: str) -> bool:
    """Whether a model file holds a model of pictures; its header is enough.

    Raises:
        FileError: it is no model file.
    """
    from .. import systems  # noqa: F401  (registers every system)
    from ..core import Spec
    from ..serialize import inspect_file
    from ..systems.images import ImageSpec

    system = Spec.registry.get(str((inspect_file(path)["spec"] or {}).get("system")))
    return system is not None and issubclass(system, ImageSpec)
