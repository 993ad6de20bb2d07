"""Sizes of pictures in other lossless formats, to compare an archive with."""

from __future__ import annotations

from ..errors import FileError
from .frames import encoded
from .writing import Item


def add_sizes(item: Item, sizes: dict[str, int]) -> None:
    """Add the bytes of an item in other formats, each of its pictures a file.

    Args:
        item: Pictures, or something that no format of pictures holds, which counts as it is.
        sizes: Bytes so far, by the name of a format, such as "PNG" and "WebP".
    """
    if item.mode in ("raw", "file"):
        for kind in sizes:
            sizes[kind] += item.array.nbytes
        return
    for picture in item.array:
        for kind in sizes:
            try:
                sizes[kind] += len(encoded(picture, kind.upper()))
            except FileError:  # WebP has a largest size
                sizes[kind] += picture.nbytes
