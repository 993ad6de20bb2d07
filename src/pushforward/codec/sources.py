"""Files as items of an archive, and items as files again."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..data.formats import atomic_output, reason
from ..data.pictures import SUFFIXES, load_pillow
from ..errors import DataError, FileError
from .writing import Item

Array = np.ndarray[Any, np.dtype[Any]]
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
"""Of pictures that are kept as they are, with their channels."""
WIDE = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}
"""Of pictures whose numbers are stored without the model."""


def paths_in(sources: Sequence[str]) -> list[tuple[str, Path]]:
    """Names and paths of the files that are meant: files, and the pictures and arrays in folders, below which names are.

    Raises:
        FileError: one is missing, or of a type that is not known.
    """
    found: list[tuple[str, Path]] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in (*SUFFIXES, ".npy") and p.is_file())
            found += [(p.relative_to(path).as_posix(), p) for p in inside]
        elif not path.exists():
            raise FileError(f"expected a picture, an .npy array or a folder at {source}, got nothing; check the path")
        elif path.suffix.lower() in (*SUFFIXES, ".npy"):
            found.append((path.name, path))
        else:
            raise FileError(f"expected files of type {', '.join((*SUFFIXES, '.npy'))}, got {source}")
    return found


def items_in(paths: Sequence[tuple[str, Path]]) -> Iterator[Item]:
    """The items of files, read one after the other.

    Raises:
        FileError: one cannot be read.
        DataError: one is of a kind that is not kept.
    """
    for name, path in paths:
        yield _array_item(name, path) if path.suffix.lower() == ".npy" else _picture_item(name, path)


def _array_item(name: str, path: Path) -> Item:
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason(error)}") from None
    except (ValueError, EOFError):
        raise FileError(f"{path} is damaged, or no .npy array of numbers") from None
    if array.dtype.kind not in "buif":
        raise DataError(f"expected an array of numbers in {path}, got one of {array.dtype}")
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        return Item(name, np.array(array), "raw")
    return Item(name, array[..., None] if array.ndim == 3 else array, "array" if array.ndim == 4 else "grey array")


def _picture_item(name: str, path: Path) -> Item:
    image_module = load_pillow(str(path))
    from PIL import ImageOps, UnidentifiedImageError

    try:
        with image_module.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise DataError(f"expected one picture in {path}, got {image.n_frames} frames; save them one by one")
            shown = ImageOps.exif_transpose(image)
            if shown.mode == "1":
                shown = shown.convert("L")
            elif shown.mode in ("P", "PA"):
                shown = shown.convert("RGBA" if "transparency" in shown.info or shown.mode == "PA" else "RGB")
            if shown.mode in MODES:
                return Item(name, np.asarray(shown).reshape(1, shown.height, shown.width, -1), shown.mode)
            if shown.mode in WIDE:
                return Item(name, np.asarray(shown).astype(WIDE[shown.mode]), "raw")
            raise DataError(f"expected a grey or colour picture in {path}, got mode {shown.mode}; convert it to RGB")
    except UnidentifiedImageError:
        raise FileError(f"{path} is damaged, or no picture") from None
    except image_module.DecompressionBombError:
        raise FileError(f"{path} says that it is larger than pictures are allowed to be") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason(error)}") from None


def restored_name(name: str) -> str:
    """Where an item goes below the folder: pictures that were no .png get that behind their name.

    Raises:
        FileError: the name leaves the folder.
    """
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name
    if unsafe or not path.parts:
        raise FileError(f"the archive holds the name {name!r}, which leads out of the folder; it is not restored")
    return name if path.suffix.lower() in (".png", ".npy") else f"{name}.png"


def restore(folder: str | os.PathLike[str], name: str, array: Array, mode: str) -> str:
    """Write an item's file below a folder; its path.

    Raises:
        FileError: it cannot be written, or its name leaves the folder.
    """
    target = Path(folder) / restored_name(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{target} cannot be written: {reason(error)}") from None
    with atomic_output(target) as temporary, open(temporary, "wb") as file:
        if target.suffix.lower() == ".npy":
            np.save(file, array[..., 0] if mode == "grey array" else array, allow_pickle=False)
        else:
            file.write(as_file(array[0] if mode != "raw" else array, "PNG"))
    return os.fspath(target)


def as_file(picture: Array, kind: str) -> bytes:
    """A picture (H, W), or (H, W, C) of bytes, as a lossless "PNG" or "WEBP".

    Raises:
        FileError: Pillow is missing, or cannot write such numbers.
    """
    flat = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    options: dict[str, Any] = {"optimize": True} if kind == "PNG" else {"lossless": True, "quality": 100, "method": 4}
    buffer = io.BytesIO()
    try:
        load_pillow("a picture").fromarray(flat).save(buffer, kind, **options)
    except (TypeError, ValueError, OSError):
        raise FileError(f"Pillow cannot write pictures of {picture.dtype} as {kind}") from None
    return buffer.getvalue()
