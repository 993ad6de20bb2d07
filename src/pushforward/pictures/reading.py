"""`read_images`: pictures from a named dataset, a folder, one picture file, or a NumPy file."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DataError, FileError, suggestion
from . import picture_files
from .datasets import DATASETS, load_dataset
from .picture_sets import ImageSplit, adapted, read_arrays, read_files, read_folder


def read_images(source: str | os.PathLike[str], *, size: int | None = None, levels: int | None = None) -> ImageSplit:
    """Return the pictures of a dataset, a folder or a file.

    Args:
        source: Source of the pictures, one of

            - the name of a dataset (`DATASETS`), which has priority over a file or folder of that name (write ./name for it);
            - a folder with picture files (.png .jpg .jpeg .webp .bmp .gif .tif .tiff), read in the order of their names;
              other files are left out with a warning;
              if only its subfolders contain pictures, these are the classes, stored as the attribute "label"; subfolders
              called train, valid (or val, validation) and test are a split, each flat or with subfolders for the classes;
            - one picture file;
            - an .npy file with whole numbers (N, H, W), (N, H, W, C) or (N, C, H, W), where C is 1 or 3; if both of the last
              two are possible, the one with square pictures is chosen, otherwise (N, H, W, C);
            - an .npz file with one such array, called x, images or data, or the only one with three or four dimensions;
              whole numbers (N,) beside it are attributes, and `y` becomes "label"; names that begin with `train_`, `valid_`
              and `test_` give a split.
        size: Height and width: the centre square of each picture is cropped and resized (Lanczos); by default all pictures
            must have one size.
        levels: Number of values that a pixel can take; by default that of the dataset, 2 for booleans, otherwise 256.

    Returns:
        Split of the pictures; a source without parts gives `train` only.

    Raises:
        FileError: The source does not exist, or a file is damaged or cannot be read.
        DataError: The pictures cannot be used together, or cannot be used at all; the message has the file.
    """
    if size is not None and size < 1:
        raise DataError(f"expected a size of 1 pixel or more, got {size}")
    if levels is not None:
        picture_files.require_levels(levels)
    if isinstance(source, str) and source in DATASETS:
        return adapted(load_dataset(source), size, levels)
    path = Path(source)
    suffix = path.suffix.lower()
    if not os.fspath(source) or not os.path.exists(path):
        kinds = "a dataset, a folder, a picture or a NumPy file"
        raise FileError(
            f"{source}: expected {kinds}, got no such name; {suggestion(str(source), DATASETS, 'datasets:')}"
        )
    if path.is_dir():
        return read_folder(path, size, levels)
    if suffix in picture_files.ARRAYS:
        return read_arrays(path, size=size, levels=levels)
    if suffix in picture_files.SUFFIXES:
        return ImageSplit(read_files([path], path, size, levels))
    known = ", ".join((*picture_files.SUFFIXES, *picture_files.ARRAYS))
    raise FileError(f"{path}: expected a folder or a file of type {known}; convert or rename it")
