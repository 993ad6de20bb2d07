"""Reading and writing of NumPy files: no file is unpickled, and sizes in headers are checked before memory is allocated.

Error messages of this module do not name the file; `tables.read_table` and `images.read_images` add its name.
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
"""End of the name of an array that marks the missing values of another array."""


def read_numpy(path: str, limits: Limits | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ file by name, or the array of an NPY file under the name "x"; nothing is unpickled.

    Args:
        path: Path of the file.
        limits: Limits on the arrays of a table; None for arrays of pictures, which have limits of their own.

    Raises:
        FileError: The file is damaged, is pickled, is no NumPy file, or is too large when unpacked.
        DataError: An array has too many columns.
    """
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            # NumPy parses headers as Python code, and Python warns about damaged ones.
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
    except Exception as error:  # damaged headers raise many kinds of errors: TokenError, NotImplementedError, ...
        if "allow_pickle" in str(error):
            raise FileError("expected plain arrays, got pickled Python objects, which are never loaded") from None
        raise FileError("expected a NumPy file, got one that is damaged or truncated") from None
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise FileError("expected a NumPy file with arrays, got one without")
    if any(array.dtype.kind == "U" and not _is_text(array) for array in arrays.values()):
        raise FileError("expected text in a NumPy file, got numbers that are no characters")
    return arrays


def _is_text(array: np.ndarray) -> bool:
    """Return whether every entry is valid Unicode: every code point is below 0x110000 and not a surrogate."""
    if not array.size or not array.dtype.itemsize:
        return True
    codes = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).view(np.uint32)
    return bool(((codes < 0xD800) | ((codes >= 0xE000) & (codes < 0x110000))).all())


def _require_honest(file: BinaryIO, limits: Limits | None) -> None:
    """Refuse arrays whose headers give a size above that of the file or above the limits, before memory is allocated."""
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
        return  # np.load raises an error for pickled objects
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > size:
        raise FileError("expected a NumPy file, got one that is damaged or truncated")
    if limits is not None:
        limits.require_array(shape, dtype.itemsize, packed)


def write_numpy(columns: Columns, path: Path, suffix: str) -> None:
    """Write one array of all columns (NPY), or one array for each column (NPZ).

    In NPZ a column of text or truth values with missing values becomes two arrays: NAME, and NAME.missing, which is true where
    the value is missing.

    Raises:
        DataError: A column holds text or dates, and the file is NPY.
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
    """Return arrays as columns: an array (N, C) called x gives the columns x0, x1, ..., an array (N,) keeps its name.

    Raises:
        DataError: An array does not have one or two dimensions, or names are repeated.
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
    """Return a column without Python objects, and a mask of the missing values if its type cannot hold them."""
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
    """Return columns in which the entries marked by the arrays NAME.missing are missing in the columns NAME."""
    columns = dict(arrays)
    for name, values in arrays.items():
        gaps = arrays.get(f"{name}{GAPS}")
        if gaps is not None and gaps.dtype == bool and gaps.shape == values.shape and values.dtype.kind in "Ub":
            columns[name] = values.astype(object)
            columns[name][gaps] = None
            del columns[f"{name}{GAPS}"]
    return columns


def array_dimensions(source: str) -> int:
    """Return the largest number of dimensions of the arrays in an .npy or .npz file; 0 for other and for damaged files."""
    suffix = Path(source).suffix.lower()
    try:
        if suffix == ".npy":
            with open(source, "rb") as file:
                return _dimensions(file)
        if suffix == ".npz":
            with zipfile.ZipFile(source) as archive:
                return max(_member_dimensions(archive, name) for name in archive.namelist())
    except Exception:  # damaged headers raise errors of any kind; `read_numpy` has a message for them
        return 0
    return 0


def _member_dimensions(archive: zipfile.ZipFile, name: str) -> int:
    with archive.open(name) as file:
        return _dimensions(file)


def _dimensions(file: IO[bytes]) -> int:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return len(read(file)[0])
