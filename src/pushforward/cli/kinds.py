"""Whether a source, or a model, is one of tables or of pictures."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

from numpy.lib import format as npy

from ..errors import DataError


def pictures_in(source: str) -> bool:
    """Whether a source holds pictures: a named data set, a folder, a picture, or an array of at least three dimensions."""
    from ..pictures import DATASETS
    from ..pictures.picture_files import SUFFIXES as PICTURES

    suffix = Path(source).suffix.lower()
    if source in DATASETS or os.path.isdir(source) or suffix in PICTURES:
        return True
    try:
        if suffix == ".npy":
            with open(source, "rb") as file:
                return _dimensions(file) >= 3
        if suffix == ".npz":
            with zipfile.ZipFile(source) as archive:
                return any(_member_dimensions(archive, name) >= 3 for name in archive.namelist())
    except Exception:  # damaged headers lead to what they please; who reads the file as a table has a sentence for it
        return False
    return False


def fits_pictures(source: str) -> bool:
    """Whether `fit` is about pictures; a name of no file and unlike a table's is taken for a misspelt data set's."""
    from ..tables.formats import SUFFIXES

    unknown = source != "-" and Path(source).suffix.lower() not in SUFFIXES and not os.path.exists(source)
    return unknown or pictures_in(source)


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
        UsageError: torchrun started several processes; no command that asks this can be shared.
    """
    from .. import systems  # noqa: F401  (registers every system)
    from ..serialize import inspect_file
    from ..systems.picture_spec import PictureSpec
    from ..systems.spec import Spec
    from .models import require_alone

    require_alone()
    system = Spec.registry.get(str((inspect_file(path)["spec"] or {}).get("system")))
    return system is not None and issubclass(system, PictureSpec)


def asks_pictures(model: str, source: str) -> bool:
    """The same for a model and the source it is asked about.

    Raises:
        FileError: the model file is none.
        DataError: the model is one of a table, and the source holds pictures.
    """
    if models_pictures(model):
        return True
    if pictures_in(source):
        raise DataError(f"expected a table for {model}, a model of one, got pictures in {source}")
    return False


def refuse_pictures(model: str, command: str, instead: str) -> None:
    """Refuse a model of pictures in a command that is for tables.

    Raises:
        FileError: the model file is none.
        DataError: it is one of pictures.
    """
    if models_pictures(model):
        raise DataError(f"{command} is for models of tables, and {model} is one of pictures; use {instead}")
