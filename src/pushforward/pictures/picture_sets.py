"""Sets of pictures, read from a named dataset, a folder, one picture file, or a NumPy file.

Pictures are stored as bytes (N, C, H, W), and each value is one of `levels` whole numbers from 0, as the likelihood of discrete
data and bits per dimension require.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, FileError, FlowError, listed
from ..output import reason
from ..tables.numpy_files import read_numpy
from . import picture_files as pictures
from .folders import find_files

PARTS = ("train", "valid", "test")
FOLDERS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
"""Names of subfolders that are parts of a split and not classes."""
NAMED = ("x", "images", "data")
"""Names of arrays of an .npz file that are taken for the pictures first."""
MOST_CLASSES = 100_000
UNPACKED = 2**30
"""Unpacked size in bytes that an .npz file may always have; a larger one may be at most a hundred times its file size."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures of one size, with their attributes.

    Args:
        images: Pictures (N, C, H, W) in uint8 with values below `levels`; C is 1 (grey), 3 (RGB), or 2 for colours
            without lightness.
        levels: Number K of values that a pixel can take, 2 to 256.
        attributes: Whole numbers (N,) by name, such as "label"; stored as int64.
        files: File of each picture; empty if unknown.
        name: Name of the set.
        classes: Names of the values 0, 1, ... of the attribute "label"; empty if unknown.
        given: Pictures that are given with these, one for each, as the condition of a model; None for none.

    Raises:
        DataError: A shape, dtype or value is invalid.
    """

    images: np.ndarray = field(repr=False)
    levels: int = 256
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    files: tuple[str, ...] = field(default=(), repr=False)
    name: str = ""
    classes: tuple[str, ...] = ()
    given: ImageSet | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Convert the arrays to their dtypes and check them against each other."""
        images = self.images
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 2, 3) or 0 in images.shape[1:]:
            raise DataError(
                "expected pictures (N, C, H, W) of uint8 with one to three channels, "
                f"got {images.dtype} of shape {images.shape}"
            )
        pictures.require_values(images, self.levels)
        attributes = {name: _attribute(name, values, len(images)) for name, values in self.attributes.items()}
        if self.files and len(self.files) != len(images):
            raise DataError(f"expected a file for each of {len(images)} pictures, got {len(self.files)}")
        if self.given is not None and len(self.given) != len(images):
            raise DataError(f"expected a condition for each of {len(images)} pictures, got {len(self.given)}")
        label = attributes.get("label")
        if (
            self.classes
            and label is not None
            and len(label)
            and not 0 <= label.min() <= label.max() < len(self.classes)
        ):
            raise DataError(f"expected labels 0 to {len(self.classes) - 1}, got {label.min()} to {label.max()}")
        # The array is made writable, because torch warns about tensors on read-only memory.
        object.__setattr__(self, "images", np.require(images, requirements=["C", "W"]))
        object.__setattr__(self, "attributes", attributes)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of a picture."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def take(self, index: np.ndarray | slice) -> ImageSet:
        """Return a set of some of the pictures, by index, mask or slice."""
        rows = np.arange(len(self))[index]
        return replace(
            self,
            images=self.images[index],
            attributes={name: values[index] for name, values in self.attributes.items()},
            files=tuple(self.files[row] for row in rows) if self.files else (),
            given=None if self.given is None else self.given.take(index),
        )

    def labels(self, name: str | None = None) -> tuple[np.ndarray, int]:
        """Return an attribute as class numbers, and the number of classes.

        Args:
            name: Name of the attribute; by default "label", or the only attribute.

        Returns:
            Class numbers (N,) in int64, and K: the number of named classes, or the largest number plus one.

        Raises:
            DataError: The attribute does not exist, or its values are not class numbers.
        """
        known = list(self.attributes)
        if name is None and known:
            name = "label" if "label" in known else known[0] if len(known) == 1 else None
        if name is None or name not in self.attributes:
            asked = "expected labels" if name is None else f"expected an attribute {name!r}"
            raise DataError(
                f"{asked} for the pictures{f' of {self.name}' if self.name else ''}, got "
                f"{f'the attributes {listed(known)}; name one of them' if known else 'none; add labels to them'}"
            )
        values = self.attributes[name]
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        if low < 0 or high >= MOST_CLASSES:
            raise DataError(f"expected class numbers 0, 1, ... in the attribute {name!r}, got {low} to {high}")
        return values, len(self.classes) if name == "label" and self.classes else high + 1


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Training pictures and, if given, validation and test pictures.

    Args:
        train: Pictures for training.
        valid: Pictures for validation, on which choices are based.
        test: Pictures for the final evaluation.

    Raises:
        DataError: The parts differ in shape or levels.
    """

    train: ImageSet
    valid: ImageSet | None = None
    test: ImageSet | None = None

    def __post_init__(self) -> None:
        """Check that the parts have the same shape and levels."""
        for name, part in (("valid", self.valid), ("test", self.test)):
            if part is not None and (part.shape, part.levels) != (self.train.shape, self.train.levels):
                raise DataError(
                    f"expected {name} pictures of shape {self.train.shape} and {self.train.levels} levels as in train, "
                    f"got {part.shape} and {part.levels}"
                )


def read_arrays(path: Path, *, size: int | None = None, levels: int | None = None) -> ImageSplit:
    """Return the pictures of an .npy or .npz file, by the rules of `read_images`; nothing is unpickled.

    Raises:
        FileError: The file is damaged, pickled, or unpacks to far more than its size.
        DataError: Its arrays are not pictures.
    """
    try:
        arrays = read_picture_arrays(path)
        parts = {part: _with_prefix(arrays, f"{part}_") for part in PARTS}
        split = {
            part: inside for part, inside in parts.items() if any(array.ndim in (3, 4) for array in inside.values())
        }
        if not split:
            return adapted(ImageSplit(_from_arrays(arrays, levels, path.stem)), size, levels)
        if "train" not in split:
            raise DataError(f"expected an array train_x, got pictures in {listed(split)} only; rename them")
        sets = {part: _from_arrays(inside, levels, path.stem, f"{part}_") for part, inside in split.items()}
        return adapted(ImageSplit(**sets), size, levels)
    except FlowError as error:
        raise type(error)(f"{path}: {error}") from None


def read_picture_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file, unless it unpacks to far more than its size."""
    try:
        unpacked = 0
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > max(UNPACKED, 100 * path.stat().st_size):
            raise FileError(
                f"expected arrays, got a file that unpacks to {unpacked / 1e9:.1f} GB; save it again as .npy"
            )
        return read_numpy(str(path))
    except FlowError:
        raise
    except Exception:  # damaged headers raise various errors: TokenError, NotImplementedError, ...
        raise FileError("expected a NumPy file, got one that is damaged or truncated") from None


def _with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _from_arrays(arrays: Mapping[str, np.ndarray], levels: int | None, name: str, prefix: str = "") -> ImageSet:
    """Return the pictures among arrays, with the other arrays as attributes."""
    likely = [key for key, array in arrays.items() if array.ndim in (3, 4)]
    chosen = [key for key in NAMED if key in arrays][:1] or likely
    if len(chosen) != 1:
        raise DataError(
            f"expected one array of pictures (N, H, W), (N, H, W, C) or (N, C, H, W), got "
            f"{f'several: {listed(chosen)}; call it x' if chosen else f'none among {listed(arrays)}'}"
        )
    try:
        images = _to_pictures(arrays[chosen[0]])
        if levels is None:
            levels = 2 if images.dtype == bool else 256
        pictures.require_values(images, levels)
    except DataError as error:
        raise DataError(f"array {prefix + chosen[0]!r}: {error}") from None
    beside = {
        key: values
        for key, values in arrays.items()
        if key != chosen[0] and values.shape == (len(images),) and values.dtype.kind in "iub"
    }
    if "y" in beside and "label" not in beside:
        beside["label"] = beside.pop("y")
    return ImageSet(np.ascontiguousarray(images, dtype=np.uint8), levels, beside, name=name)


def _to_pictures(array: np.ndarray) -> np.ndarray:
    """Return an array of pictures in the order (N, C, H, W); see `read_images` for the rule."""
    if array.dtype.kind not in "iub":
        raise DataError(f"expected whole numbers, got {array.dtype}; scale to 0 .. 255, round, and save as uint8")
    if array.ndim not in (3, 4):
        raise DataError(
            f"expected pictures of three or four dimensions, got {'fewer' if array.ndim < 3 else array.ndim}"
        )
    if not array.size:
        raise DataError(f"expected pictures, got an empty array of shape {array.shape}")
    if array.ndim == 3:
        if array.shape[2] == 3 < array.shape[1]:
            raise DataError(
                f"expected pictures (N, H, W), got shape {array.shape}, one colour picture; add an axis for N"
            )
        return array[:, None]
    first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
    if not first and not last:
        raise DataError(f"expected one or three channels in the second or last dimension, got shape {array.shape}")
    if first and last:
        last = array.shape[1] == array.shape[2] or array.shape[2] != array.shape[3]
    return array.transpose(0, 3, 1, 2) if last else array


def adapted(split: ImageSplit, size: int | None, levels: int | None) -> ImageSplit:
    """Return the split with another number of levels, and its pictures cropped and resized."""
    parts = {part: _adapted_set(getattr(split, part), size, levels) for part in PARTS}
    return ImageSplit(**parts)  # type: ignore[arg-type]


def _adapted_set(part: ImageSet | None, size: int | None, levels: int | None) -> ImageSet | None:
    if part is None:
        return None
    levels = part.levels if levels is None else levels
    if size is None or part.shape[1:] == (size, size):
        return replace(part, levels=levels)
    library = pictures.load_pillow("resizing pictures")
    images = np.empty((len(part), part.shape[0], size, size), dtype=np.uint8)
    for old, new in zip(part.images, images, strict=True):
        for plane, target in zip(old, new, strict=True):
            target[...] = pictures.resized(library.fromarray(plane), size)
    # Lanczos overshoots at edges, and Pillow clips at 255 only.
    return replace(part, images=np.minimum(images, part.levels - 1), levels=levels)


def read_folder(folder: Path, size: int | None, levels: int | None) -> ImageSplit:
    """Return the pictures of a folder: one set, classes in subfolders, or a split."""
    try:
        found = _files_in(folder, warn=False)
        inside = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
        parts = {FOLDERS[name]: path for name, path in inside.items() if name in FOLDERS}
        if found or "train" not in parts:
            return ImageSplit(_read_tree({"train": folder}, size, levels)["train"])
        return ImageSplit(**_read_tree(parts, size, levels))
    except OSError as error:
        raise FileError(f"{folder} cannot be read: {reason(error)}") from None


def _read_tree(parts: Mapping[str, Path], size: int | None, levels: int | None) -> dict[str, ImageSet]:
    """Return the pictures of some folders; subfolders are classes if a folder itself has no pictures."""
    files: dict[str, list[Path]] = {}
    labels: dict[str, list[str]] = {}
    for part, folder in parts.items():
        files[part] = _files_in(folder)
        if files[part]:
            continue
        for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
            files[part] += _files_in(inner)
            labels.setdefault(part, []).extend([inner.name] * (len(files[part]) - len(labels.get(part, []))))
        if not files[part]:
            raise DataError(f"{folder}: expected pictures ({', '.join(pictures.SUFFIXES)}), got none; check the folder")
    flat = [str(parts[part]) for part in parts if not labels.get(part)]
    if labels and flat:
        raise DataError(f"{flat[0]}: expected subfolders for the classes as in the other parts, got pictures only")
    classes = tuple(sorted({label for part in labels.values() for label in part}))
    number = {name: i for i, name in enumerate(classes)}
    sets = {part: read_files(files[part], folder, size, levels) for part, folder in parts.items()}
    for part, names in labels.items():
        label = np.array([number[name] for name in names])
        sets[part] = replace(sets[part], attributes={"label": label}, classes=classes)
    return sets


def _files_in(folder: Path, *, warn: bool = True) -> list[Path]:
    """Return the picture files of a folder, sorted by name."""
    return find_files(folder, pictures.SUFFIXES, warn=warn)


def read_files(files: Sequence[Path], source: Path, size: int | None, levels: int | None) -> ImageSet:
    """Return the pictures of some files: all headers are read first, then the pixels, one file after the other."""
    headers = [pictures.read_header(path) for path in files]
    channels = pictures.require_one_kind(source, files, headers)
    sizes = [header.size for header in headers]
    different = dict.fromkeys(sizes)
    if size is None and len(different) > 1:
        (w, h), (v, g) = list(different)[:2]
        raise DataError(
            f"{source}: expected pictures of one size, got {len(different)} sizes, {w} x {h} in "
            f"{files[sizes.index((w, h))].name} and {v} x {g} in {files[sizes.index((v, g))].name}; "
            "give a size to crop and resize them to"
        )
    width, height = sizes[0] if size is None else (size, size)
    try:
        images = np.empty((len(files), channels, height, width), dtype=np.uint8)
    except MemoryError:
        needed = len(files) * channels * height * width / 1e9
        raise DataError(f"{source}: expected pictures that fit in memory, got {needed:.0f} GB; give a size") from None
    levels = 256 if levels is None else levels
    for path, target in zip(files, images, strict=True):
        target[...] = pictures.read_picture(path, channels, size)
        if target.max() >= levels:
            raise DataError(f"{path}: expected values 0 to {levels - 1} for {levels} levels, got {target.max()}")
    return ImageSet(images, levels, files=tuple(map(str, files)), name=source.name)


def _attribute(name: str, values: np.ndarray, n: int) -> np.ndarray:
    array = np.asarray(values)
    if array.shape != (n,) or array.dtype.kind not in "iub":
        raise DataError(
            f"expected {n} whole numbers in the attribute {name!r}, got {array.dtype} of shape {array.shape}"
        )
    if array.dtype == np.uint64 and n and array.max() > np.iinfo(np.int64).max:
        raise DataError(f"expected whole numbers below 2^63 in the attribute {name!r}, got {array.max()}")
    return array.astype(np.int64)
