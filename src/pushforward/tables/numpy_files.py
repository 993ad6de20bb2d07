"""NumPy files: arrays by name, read without unpickling and without believing their headers, and written.

Messages do not name the file; `tables.read_table` and `images.read_images` do.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..errors import DataError, FileError, FlowError
from .column_names import require_distinct
from .limits import Limits

Columns = Mapping[str, np.ndarray]
GAPS = ".missing"
"""End of the name of an array that says where another one has no value."""


def read_numpy(path: str, limits: Limits | None = None) -> dict[str, np.ndarray]:
    """Arrays of an NPY file (under the name "x") or of an NPZ file; nothing is unpickled.

    Args:
        path: Path of the file.
        limits: for each array of a table; None for arrays of pictures, which have their own.

    Raises:
        FileError: it is damaged, pickled, no NumPy file, or unpacks to too much.
        DataError: an array has too many columns.
    """
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            # Damaged headers are parsed as Python, which has something to say about them.
            warnings.simplefilter("ignore")
            if file.read(6)[:2] not in (b"\x93N", b"PK"):
                raise FileError("expected a NumPy file with plain arrays, got something else, perhaps a pickle")
            _require_honest(file, limits)
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                loaded = {"x": loaded[:, None] if loaded.ndim == 1 else loaded}
            arrays = {key: loaded[key] for key in loaded}
    except FlowError:
        raise
    except Exception as error:  # damaged headers lead to what they please: TokenError, NotImplementedError, ...
        if "allow_pickle" in str(error):
            raise FileError("expected plain arrays, got pickled Python objects, which are never loaded") from None
        raise FileError("expected a NumPy file, got one that is damaged or truncated") from None
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise FileError("expected a NumPy file with arrays, got one without")
    if any(array.dtype.kind == "U" and not _is_text(array) for array in arrays.values()):
        raise FileError("expected text in a NumPy file, got numbers that are no characters")
    return arrays


def _is_text(array: np.ndarray) -> bool:
    """Whether every entry is text of Unicode: four bytes a character, below 0x110000 and no half of a pair."""
    if not array.size or not array.dtype.itemsize:
        return True
    codes = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).view(np.uint32)
    return bool(((codes < 0xD800) | ((codes >= 0xE000) & (codes < 0x110000))).all())


def _require_honest(file: BinaryIO, limits: Limits | None) -> None:
    """Refuse arrays whose headers promise more than the file has, or more than the limits allow, before memory is taken."""
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(2) == b"PK":
        with zipfile.ZipFile(file) as archive:
            members = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            if limits is not None:
                limits.require_size(sum(entry.file_size for entry in members), size)
            for entry in members:
                with archive.open(entry) as member:
                    _require_honest_array(member, entry.file_size, size, limits)
        return
    file.seek(0)
    _require_honest_array(file, size, size, limits)


def _require_honest_array(file: IO[bytes], size: int, packed: int, limits: Limits | None) -> None:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        return  # np.load has a sentence for these
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size:
        raise FileError("expected a NumPy file, got one that is damaged or truncated")
    if limits is not None:
        limits.require_array(shape, dtype.itemsize, packed)


def write_numpy(columns: Columns, path: Path, suffix: str) -> None:
    """Write NPY, one array of all columns, or NPZ, one array for each.

    A column of text or truth values with gaps takes two arrays in NPZ: NAME, and NAME.missing, which is true where it has none.

    Raises:
        DataError: Text or dates in NPY.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        arrays[name], missing = _plain(values)
        if missing is not None:
            arrays[f"{name}{GAPS}"] = missing
    if suffix == ".npy":
        for name, values in arrays.items():
            if values.dtype.kind not in "ifb":
                raise DataError(f"expected numbers only in an .npy file, got others in column {name!r}; write .csv")
        with open(path, "wb") as file:
            np.save(file, np.stack(list(arrays.values()), axis=1), allow_pickle=False)
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def split_arrays(arrays: Columns) -> dict[str, np.ndarray]:
    """Arrays (N, C) as columns numbered after their name, arrays (N,) as they are; a single one is always numbered.

    Raises:
        DataError: an array has no or more than two dimensions, or names repeat.
    """
    pairs: list[tuple[str, np.ndarray]] = []
    for name, array in arrays.items():
        if array.ndim not in (1, 2):
            raise DataError(f"expected arrays of one or two dimensions, got shape {array.shape} in {name!r}")
        if array.ndim == 2:
            pairs += [(f"{name}{i}", np.ascontiguousarray(array[:, i])) for i in range(array.shape[1])]
        else:
            pairs.append((name, array))
    require_distinct([name for name, _ in pairs])
    return dict(pairs)


def _plain(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """A column without Python objects, and where it has gaps that its type cannot hold."""
    if values.dtype.kind != "O":
        return values, None
    entries = values.tolist()
    missing = np.array([entry is None for entry in entries])
    gaps = missing if missing.any() else None
    if any(isinstance(entry, str) for entry in entries):
        return np.array(["" if entry is None else entry for entry in entries], dtype=str), gaps
    if any(isinstance(entry, bool) for entry in entries):
        return np.array([bool(entry) for entry in entries]), gaps
    return values.astype(np.float64), None


def with_gaps(arrays: Columns) -> dict[str, np.ndarray]:
    """Return columns in which the arrays NAME.missing have made gaps in the arrays NAME."""
    columns = dict(arrays)
    for name, values in arrays.items():
        gaps = arrays.get(f"{name}{GAPS}")
        if gaps is not None and gaps.dtype == bool and gaps.shape == values.shape and values.dtype.kind in "Ub":
            columns[name] = values.astype(object)
            columns[name][gaps] = None
            del columns[f"{name}{GAPS}"]
    return columns


def array_dimensions(source: str) -> int:
    """Return the most dimensions of an array in an .npy or .npz file; 0 for another file and for a damaged one."""
    suffix = Path(source).suffix.lower()
    try:
        if suffix == ".npy":
            with open(source, "rb") as file:
                return _dimensions(file)
        if suffix == ".npz":
            with zipfile.ZipFile(source) as archive:
                return max(_member_dimensions(archive, name) for name in archive.namelist())
    except Exception:  # damaged headers raise errors of any kind; the reader of the file has a sentence for them
        return 0
    return 0


def _member_dimensions(archive: zipfile.ZipFile, name: str) -> int:
    with archive.open(name) as file:
        return _dimensions(file)


def _dimensions(file: IO[bytes]) -> int:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return len(read(file)[0])
