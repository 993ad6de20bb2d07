"""Random crops of pictures of any size: training data of a model that codes pictures in tiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError, FileError
from ..output import reason
from . import picture_files as pictures
from .folders import find_files
from .picture_sets import ImageSet
from .reading import read_images

PER_TILE = 4
"""Number of crops for each tile's area of the pictures."""
LEAST, MOST = 1_000, 50_000
"""Smallest and largest number of crops of a set of pictures."""


@dataclass(frozen=True)
class PictureList:
    """Pictures of one kind and any sizes, which are read one at a time.

    Args:
        name: Name of the set.
        channels: 1 for grey, 3 for RGB.
        sizes: Width and height of each picture, in pixels.
        read: Function that returns picture i, (C, H, W) of bytes.
        levels: Number of values that a pixel can take.
    """

    name: str
    channels: int
    sizes: tuple[tuple[int, int], ...]
    read: Callable[[int], np.ndarray]
    levels: int = 256

    def __len__(self) -> int:
        return len(self.sizes)


def list_pictures(source: str | os.PathLike[str], levels: int | None = None) -> PictureList:
    """Return a list of pictures of any sizes.

    Args:
        source: Folder, which is searched recursively, one picture file, an array, or a named dataset, of which the training
            part is taken.
        levels: Number of values that a pixel can take; by default that of the dataset, or 256.

    Raises:
        FileError: The source does not exist, or a file cannot be read.
        DataError: Some pictures are grey and some in colour, or there are none.
    """
    path = Path(source)
    if path.is_dir():
        try:
            files = find_files(path, pictures.SUFFIXES, deep=True)
        except OSError as error:
            raise FileError(f"{path} cannot be read: {reason(error)}") from None
        if not files:
            raise DataError(f"{path}: expected pictures ({', '.join(pictures.SUFFIXES)}), got none; check the folder")
    elif path.suffix.lower() in pictures.SUFFIXES and path.exists():
        files = [path]
    else:
        images = read_images(source, levels=levels).train
        height, width = images.shape[1:]
        sizes = ((width, height),) * len(images)
        return PictureList(images.name, images.shape[0], sizes, lambda i: images.images[i], images.levels)
    headers = [pictures.read_header(file) for file in files]
    channels = pictures.require_one_kind(path, files, headers)
    return PictureList(
        path.name,
        channels,
        tuple(header.size for header in headers),
        lambda i: pictures.read_picture(files[i], channels),
        256 if levels is None else levels,
    )


def random_crops(
    source: PictureList, which: Sequence[int] | np.ndarray, size: int, *, most: int = MOST, seed: int = 0
) -> ImageSet:
    """Return square crops at random positions; the number from each picture is proportional to its area.

    Pictures that are smaller than a crop are enlarged by repetition of their last row and column, as in `compress`.

    Args:
        source: Pictures to read.
        which: Indices of the pictures from which crops are taken.
        size: Height and width of a crop, in pixels.
        most: Largest number of crops.
        seed: Seed of the positions.

    Returns:
        About four crops for each tile of size x size in the pictures, at least 1000 and at least one from each picture.

    Raises:
        DataError: The size is not positive, there are no pictures, or their values are out of range.
        FileError: A picture cannot be read.
    """
    if size < 1 or not len(which):
        raise DataError(f"expected crops of 1 pixel or more from pictures, got {size} from {len(which)} pictures")
    areas = np.array([max(w, size) * max(h, size) for w, h in source.sizes], dtype=np.float64)[list(which)]
    wanted = min(max(LEAST, PER_TILE * areas.sum() / size**2), most)
    counts = np.maximum(1, np.rint(wanted * areas / areas.sum())).astype(np.int64)
    crops = np.empty((counts.sum(), source.channels, size, size), dtype=np.uint8)
    random = np.random.default_rng(seed)
    at = 0
    for i, count in zip(which, counts, strict=True):
        picture = source.read(int(i))
        missing = [max(0, size - n) for n in picture.shape[1:]]
        picture = np.pad(picture, ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
        tops, lefts = (random.integers(n - size + 1, size=count) for n in picture.shape[1:])
        for top, left in zip(tops, lefts, strict=True):
            crops[at] = picture[:, top : top + size, left : left + size]
            at += 1
    return ImageSet(crops, source.levels, name=source.name)
