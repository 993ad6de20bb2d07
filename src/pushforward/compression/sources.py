"""Conversion of files to items of an archive, and of items to files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, FileError
from ..output import reason
from ..pictures.folders import TIFF, find_files, has_suffix, signature
from ..pictures.picture_files import SUFFIXES, load_pixels, opened
from . import frames
from .file_names import is_array, restored_names, safe_name
from .manifest import Entry
from .writing import Item, codes

Array = np.ndarray[Any, np.dtype[Any]]
KINDS = (*SUFFIXES, ".npy")


def paths_in(sources: Sequence[str]) -> dict[str, Path]:
    """Return the files to keep, by name: given files, and the pictures and arrays in given folders and below them.

    Raises:
        FileError: A source is missing, or of an unknown type.
        DataError: Two files have the same name.
    """
    found: dict[str, Path] = {}
    for source in sources:
        if not source:
            # Path("") would be the current folder.
            raise FileError("expected a picture, an .npy array or a folder, got an empty name; give . for this folder")
        for name, path in _named(Path(source)):
            if name in found:
                raise DataError(
                    f"expected different names below the folders given, got {name!r} twice, from {found[name]} and {path}; "
                    "give a folder that holds both, or rename one"
                )
            found[name] = path
    return found


def _named(source: Path) -> Iterator[tuple[str, Path]]:
    if source.is_dir():
        try:
            found = find_files(source, KINDS, deep=True)
        except OSError as error:
            raise FileError(f"{error.filename or source} cannot be read: {reason(error)}") from None
        for path in found:
            yield path.relative_to(source).as_posix(), path
    elif not source.exists():
        raise FileError(f"expected a picture, an .npy array or a folder at {source}, got nothing; check the path")
    elif has_suffix(source, KINDS):
        yield source.name, source
    else:
        raise FileError(f"expected files of type {', '.join(KINDS)}, got {source}; leave it out")


def items_in(paths: Mapping[str, Path], event: tuple[int, ...]) -> Iterator[Item]:
    """Yield the items of files, read one after the other.

    An item has the pixels of a file if a model of such events can code them and they restore the file; otherwise it has
    the bytes of the file.

    Args:
        paths: Files by name.
        event: Shape of the model's events.

    Raises:
        FileError: A file cannot be read.
        DataError: An array does not hold numbers.
    """
    for name, path in paths.items():
        yield (_array_item if has_suffix(path, (".npy",)) else _picture_item)(name, path, event)


def _array_item(name: str, path: Path, event: tuple[int, ...]) -> Item:
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r" if path.stat().st_size else None)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason(error)}") from None
    except Exception:  # damaged headers raise various errors: TokenError, SyntaxError, ...
        raise FileError(
            f"{path}: expected an .npy array of numbers, got another or a damaged file; replace it"
        ) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buifc":
        raise DataError(f"expected an array of numbers in {path}, got one of {getattr(array, 'dtype', 'several')}")
    pictures = array[..., None] if array.ndim == 3 else array
    if pictures.ndim == 4 and codes(pictures, event):
        frame = frames.split_array(path, array)
        if frame is not None:
            return Item(name, pictures, "array", frame)
    return _file_item(name, _bytes(path))


def _picture_item(name: str, path: Path, event: tuple[int, ...]) -> Item:
    data = _bytes(path)
    try:
        with opened(path, data) as image:
            single = getattr(image, "n_frames", 1) == 1
            load_pixels(image)
            pixels = np.asarray(image)
            kind, mode = str(image.format), str(image.mode)
    except FileError:
        # Pillow does not read all kinds of TIFF.
        if signature(data) == TIFF:
            return _file_item(name, data)
        raise
    channels = frames.MODES.get(mode, 0)
    if single and channels:
        pictures = pixels.reshape(1, *pixels.shape[:2], channels)
        frame = frames.split(data, kind, mode, pictures[0]) if codes(pictures, event) else None
        if frame is not None:
            return Item(name, pictures, mode, frame)
    return _file_item(name, data)


def _file_item(name: str, data: bytes) -> Item:
    return Item(name, np.frombuffer(data, np.uint8), "file")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {reason(error)}") from None


def file_of(entry: Entry, array: Array) -> bytes:
    """Return the bytes of the file to which an item is restored.

    Raises:
        FileError: Pillow is missing, or cannot write the item.
    """
    if entry.mode == "file":
        return array.tobytes()
    if entry.frame is not None:
        return frames.join(entry.frame, array)
    if is_array(entry):
        buffer = io.BytesIO()
        np.save(buffer, array[..., 0] if entry.mode == "grey array" else array, allow_pickle=False)
        return buffer.getvalue()
    return frames.encoded(array[0] if array.ndim == 4 else array, "PNG")


def require_same(path: Path, entry: Entry, array: Array) -> None:
    """Check that the restored file of an item equals the original in name and content.

    The bytes of the two files must be equal; or both are pictures of the same format, size, mode and pixels, with the same
    properties: transparency, colour profile, resolution, orientation, text.

    Raises:
        FileError: They differ, or the original has changed.
    """
    if restored_names([entry]) != [safe_name(entry.name)]:
        raise FileError(f"{entry.name!r} would be restored under another name")
    before, after = _bytes(path), file_of(entry, array)
    if before != after and (entry.mode == "file" or is_array(entry) or _look(path, before) != _look(path, after)):
        raise FileError(f"{entry.name!r} would be restored with other pixels or properties")


def _look(path: Path, data: bytes) -> tuple[Any, ...]:
    with opened(path, data) as image:
        load_pixels(image)
        return image.format, image.size, image.mode, image.tobytes(), dict(image.info)
