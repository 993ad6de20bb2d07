"""Clips: pictures of one size in the order of time, from arrays and animated GIFs, and their output."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, FileError, FlowError, listed
from ..output import atomic_output
from ..tables.numpy_files import write_numpy
from . import picture_files as pictures
from .folders import find_files
from .picture_sets import NAMED, PARTS, read_picture_arrays

ANIMATED = (".gif",)
"""Suffixes of the files that hold one clip each."""
DURATION = 120
"""Number of milliseconds for which a frame of a GIF is shown."""


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Clips of one length and size.

    Args:
        clips: Clips (N, T, C, H, W) in uint8 with values below `levels`; C is 1 (grey) or 3 (RGB).
        levels: Number K of values that a pixel can take, 2 to 256.
        files: Name of each clip; empty if unknown.

    Raises:
        DataError: A shape, dtype or value is invalid.
    """

    clips: np.ndarray = field(repr=False)
    levels: int = 256
    files: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Check the shape and the values."""
        clips = self.clips
        if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[2] not in (1, 3) or 0 in clips.shape[1:]:
            raise DataError(
                f"expected clips (N, T, C, H, W) of uint8 with one or three channels, got {clips.dtype} of shape {clips.shape}"
            )
        pictures.require_values(clips.reshape(-1, *clips.shape[2:]), self.levels)
        object.__setattr__(self, "clips", np.require(clips, requirements=["C", "W"]))

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def frames(self) -> int:
        """Number of frames of a clip."""
        return self.clips.shape[1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of a frame."""
        channels, height, width = self.clips.shape[2:]
        return channels, height, width

    def take(self, index: np.ndarray) -> ClipSet:
        """Return a set of some of the clips."""
        files = tuple(self.files[i] for i in np.arange(len(self))[index]) if self.files else ()
        return replace(self, clips=self.clips[index], files=files)


@dataclass(frozen=True, eq=False)
class ClipSplit:
    """Training clips and, if given, validation and test clips.

    Args:
        train: Clips for training.
        valid: Clips for validation.
        test: Clips for the final evaluation.

    Raises:
        DataError: The parts differ in length, size or levels.
    """

    train: ClipSet
    valid: ClipSet | None = None
    test: ClipSet | None = None

    def __post_init__(self) -> None:
        """Check that the parts have the same length, size and levels."""
        for name, part in (("valid", self.valid), ("test", self.test)):
            if part is not None and (part.clips.shape[1:], part.levels) != (
                self.train.clips.shape[1:],
                self.train.levels,
            ):
                raise DataError(
                    f"expected {name} clips of shape {self.train.clips.shape[1:]} as in train, got {part.clips.shape[1:]}"
                )


def read_clips(source: str | os.PathLike[str], *, levels: int | None = None) -> ClipSplit:
    """Return the clips of a folder of animated GIFs, of one GIF, or of a NumPy file.

    Args:
        source: Source of the clips, one of

            - an .npy or .npz file with whole numbers (N, T, H, W) or (N, T, H, W, C), where C is 1 or 3, or (T, H, W) for
              one clip; in an .npz file the array is called x, clips or data, or is the only one; names that begin with
              `train_`, `valid_` and `test_` give a split, and several arrays (T, H, W) are one clip each;
            - a folder of animated GIFs, read in the order of their names, or one of them.
        levels: Number of values that a pixel can take; by default 2 for booleans, otherwise 256.

    Raises:
        FileError: The source does not exist, or a file is damaged or cannot be read.
        DataError: The clips differ in length or size, or are no whole numbers.
    """
    path = Path(source)
    if levels is not None:
        pictures.require_levels(levels)
    if not os.fspath(source) or not path.exists():
        raise FileError(f"{source}: expected a NumPy file or a folder of GIFs, got no such name; check the path")
    if path.is_dir():
        files = find_files(path, ANIMATED)
        if not files:
            raise DataError(f"{path}: expected animated GIFs, got none; check the folder")
        return ClipSplit(_from_gifs(path, files, levels))
    suffix = path.suffix.lower()
    if suffix in ANIMATED:
        return ClipSplit(_from_gifs(path, [path], levels))
    if suffix not in pictures.ARRAYS:
        raise FileError(f"{path}: expected clips in a folder of GIFs, a .gif, .npz or .npy file; convert or rename it")
    try:
        arrays = read_picture_arrays(path)
        parts = {
            part: {
                name.removeprefix(f"{part}_"): array for name, array in arrays.items() if name.startswith(f"{part}_")
            }
            for part in PARTS
        }
        found = {part: _from_arrays(inside, levels) for part, inside in parts.items() if inside}
        if not found:
            return ClipSplit(_from_arrays(arrays, levels))
        if "train" not in found:
            raise DataError(f"expected an array train_x, got clips in {listed(found)} only; rename them")
        return ClipSplit(**found)
    except FlowError as error:
        raise type(error)(f"{path}: {error}") from None


def _from_arrays(arrays: Mapping[str, np.ndarray], levels: int | None) -> ClipSet:
    chosen = [name for name in ("clips", *NAMED) if name in arrays][:1] or list(arrays)
    found = {name: arrays[name] for name in chosen}
    for name, array in found.items():
        if array.dtype.kind not in "iub":
            raise DataError(f"expected whole numbers in {name!r}, got {array.dtype}; scale to 0 .. 255 and round")
        single = array.ndim == 3
        if not array.size or not (single or (len(found) == 1 and array.ndim in (4, 5))):
            raise DataError(
                f"expected clips (N, T, H, W) or (N, T, H, W, C), got shape {array.shape} in {name!r}; in one array all "
                "clips have one length"
            )
    names = tuple(found) if len(found) > 1 else ()
    clips = _stacked({name: array[None] if array.ndim == 3 else array for name, array in found.items()})
    if clips.ndim == 4:
        clips = clips[..., None]
    if clips.shape[-1] not in (1, 3):
        raise DataError(
            f"expected one or three channels in the last dimension of clips (N, T, H, W, C), got {clips.shape}"
        )
    levels = (2 if clips.dtype == bool else 256) if levels is None else levels
    pictures.require_values(clips.reshape(-1, *clips.shape[2:]), levels)
    return ClipSet(np.ascontiguousarray(clips.transpose(0, 1, 4, 2, 3), dtype=np.uint8), levels, names)


def _stacked(clips: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return arrays (n, T, ...) of clips one after the other."""
    (first, reference), *others = clips.items()
    for name, array in others:
        if array.shape[1:] != reference.shape[1:]:
            raise DataError(
                f"expected clips of one length and size, got frames, height and width {reference.shape[1:4]} in {first} "
                f"and {array.shape[1:4]} in {name}; cut them to one length and size"
            )
    return np.concatenate(list(clips.values()))


def _from_gifs(source: Path, files: Sequence[Path], levels: int | None) -> ClipSet:
    clips = {path.name: _read_gif(path)[None] for path in files}
    try:
        found = _stacked(clips)
        if (found == found[..., :1]).all():
            found = found[..., :1]
        return ClipSet(found.transpose(0, 1, 4, 2, 3), 256 if levels is None else levels, tuple(clips))
    except DataError as error:
        raise DataError(f"{source}: {error}") from None


def _read_gif(path: Path) -> np.ndarray:
    """Return the frames of a GIF in colour, (T, H, W, 3) in uint8."""
    with pictures.opened(path) as image:
        frames = []
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB")))
    return np.stack(frames)


def write_clips(path: str | os.PathLike[str], clips: np.ndarray, levels: int = 256) -> None:
    """Write clips: .gif shows them side by side, .png their frames in rows, .npy and .npz hold their array (N, T, H, W[, C]).

    Args:
        path: Path whose suffix determines the format; .npz calls the array `x`.
        clips: Clips (N, T, C, H, W) of integers from 0 to levels - 1; stored as uint8.
        levels: Number of values that a pixel can take.

    Raises:
        FileError: The suffix is unknown, or the path cannot be written.
        DataError: The shape or the values are invalid.
    """
    suffix = Path(path).suffix.lower()
    checked = ClipSet(np.asarray(clips, dtype=np.uint8), levels).clips
    if suffix == ".png":
        pictures.write_images(path, checked.reshape(-1, *checked.shape[2:]), levels, columns=checked.shape[1])
    elif suffix in ANIMATED:
        images = [_shown(checked[:, t], levels) for t in range(checked.shape[1])]
        with atomic_output(path) as temporary:
            images[0].save(temporary, "GIF", save_all=True, append_images=images[1:], duration=DURATION, loop=0)
    else:
        array = checked.transpose(0, 1, 3, 4, 2)
        array = array[..., 0] if array.shape[-1] == 1 else array
        with atomic_output(path) as temporary:
            if suffix == ".npy":
                with open(temporary, "wb") as file:
                    np.save(file, array, allow_pickle=False)
            elif suffix == ".npz":
                write_numpy({"x": array}, temporary, suffix)
            else:
                raise FileError(
                    f"{os.fspath(path)}: expected a file name that ends in .gif, .png, .npz or .npy; rename it"
                )


def _shown(frames: np.ndarray, levels: int) -> Any:
    """Return pictures side by side as an image of Pillow; one picture has no margin."""
    padding = 0 if len(frames) == 1 else 1
    grid = pictures.to_grid(frames, levels, padding=padding)
    return pictures.load_pillow("writing GIFs").fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid)
