"""Tiles: pictures of any size as events of a model of pictures of one size, and back.

A picture is cut into tiles of the model's height and width. Incomplete tiles are padded by repetition of the last row
and column, which costs few bits. Channels are split into groups as large as the model's: a grey model codes the colour
planes of a picture one after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, int, int]


def count(shape: tuple[int, ...], event: Shape) -> int:
    """Return the number of tiles of pictures of shape (N, H, W, C); 0 if the channels do not fit."""
    n, height, width, channels = shape
    if channels % event[0] or not height or not width:
        return 0
    return n * (channels // event[0]) * -(-height // event[1]) * -(-width // event[2])


def cut(pictures: Array, event: Shape) -> Array:
    """Return pictures (N, H, W, C) as tiles (tiles, *event), ordered by picture, group of channels, row and column."""
    channels, height, width = event
    n, h, w, c = pictures.shape
    rows, columns = -(-h // height), -(-w // width)
    filled = np.pad(pictures, ((0, 0), (0, rows * height - h), (0, columns * width - w), (0, 0)), mode="edge")
    parts = filled.reshape(n, rows, height, columns, width, c // channels, channels)
    return np.ascontiguousarray(parts.transpose(0, 5, 1, 3, 6, 2, 4)).reshape(-1, *event)


def joined(tiles: Array, shape: tuple[int, ...]) -> Array:
    """Return pictures (N, H, W, C) from all their tiles."""
    n, h, w, c = shape
    _, channels, height, width = tiles.shape
    rows, columns = -(-h // height), -(-w // width)
    parts = tiles.reshape(n, c // channels, rows, columns, channels, height, width).transpose(0, 2, 5, 3, 6, 1, 4)
    return np.ascontiguousarray(parts.reshape(n, rows * height, columns * width, c)[:, :h, :w])
