"""Sizes of pictures in other lossless formats, for comparison with an archive."""

from __future__ import annotations

from ..errors import FileError
from .frames import encoded
from .writing import Item


def add_sizes(item: Item, sizes: dict[str, int]) -> None:
    """Add the number of bytes of an item in other formats, with each of its pictures as a file.

    Args:
        item: Item of pictures, or one that no picture format can store, which counts with its own bytes.
        sizes: Number of bytes so far, by the name of a format, such as "PNG" and "WebP"; changed in place.
    """
    if item.mode in ("raw", "file"):
        for kind in sizes:
            sizes[kind] += item.array.nbytes
        return
    for picture in item.array:
        for kind in sizes:
            try:
                sizes[kind] += len(encoded(picture, kind.upper()))
            except FileError:  # the size of WebP pictures is limited
                sizes[kind] += picture.nbytes
