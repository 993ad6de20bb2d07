"""Commands `colourise`, `upscale` and `restyle`, which change what a conditional model of pictures is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..errors import DataError
from ..evaluation import decode, encode
from ..pictures import ImageSet, read_images, write_images
from ..pictures.given import Lightness, PictureCondition, Smaller
from ..pictures.lab import from_lab
from ..pictures.picture_files import load_pillow
from ..training.random_state import isolated
from .console import Terminal
from .options import MachineOptions, UsageError
from .picture_output import as_bytes, completed, require_picture_output
from .task import start
from .trained_pictures import TrainedPictures, describe

Array = np.ndarray[Any, np.dtype[Any]]
MOST_TILES = 100_000
"""Largest number of tiles of which `upscale` composes pictures."""


def colourise_pictures(
    path: str, source: str, draws: int, out: str, temperature: float, machine: MachineOptions
) -> int:
    """Write a row for each picture: the grey picture, then the same picture in colours that are drawn from the model.

    The model sees the lightness at its own size. Its colours are enlarged and put on the lightness of the full picture.
    """
    require_picture_output(out, [path, source])
    loaded = _opened(path, Lightness, "lightness", machine)
    lightness = Lightness().given_of(read_images(source).train).images
    _, height, width = loaded.spec.condition
    seen = ImageSet(_resized(lightness, height, width))
    columns = [np.repeat(lightness, 3, axis=1)]
    for i in range(draws):
        x = loaded.draw(len(seen), None, machine.seed + i, temperature, seen)
        colours = _resized(as_bytes(x, loaded.spec.levels), *lightness.shape[2:])
        columns.append(from_lab(lightness, colours))
    write_images(out, np.stack(columns, 1).reshape(-1, *columns[0].shape[1:]), 256, columns=draws + 1)
    Terminal(quiet=machine.quiet).tell(f"wrote {len(seen):,} rows of a grey picture and {draws} in colour to {out}")
    return 0


def upscale_pictures(path: str, source: str, draws: int, out: str, temperature: float, machine: MachineOptions) -> int:
    """Write a row for each picture: the picture enlarged by repetition, then by the model; pictures are cut into tiles.

    Raises:
        DataError: The model's tiles do not fill the pictures.
    """
    require_picture_output(out, [path, source])
    loaded = _opened(path, Smaller, "smaller:2", machine)
    channels, height, width = loaded.spec.condition
    small = read_images(source, levels=loaded.spec.levels).train
    rows, columns = small.shape[1] // height, small.shape[2] // width
    if small.shape != (channels, rows * height, columns * width) or not rows * columns:
        raise DataError(
            f"{source}: expected {describe(loaded.spec.condition)}, which {path} enlarges, or a multiple of this height and "
            f"width, got {describe(small.shape)}"
        )
    if len(small) * rows * columns > MOST_TILES:
        raise DataError(
            f"{source}: expected at most {MOST_TILES:,} tiles of {height} x {width}, got more; give fewer pictures"
        )
    tiles = ImageSet(_tiles(small.images, rows, columns), small.levels)
    factor = loaded.spec.shape[1] // height
    shown = [small.images.repeat(factor, axis=2).repeat(factor, axis=3)]
    for i in range(draws):
        x = loaded.draw(len(tiles), None, machine.seed + i, temperature, tiles)
        shown.append(_joined(as_bytes(x, loaded.spec.levels), rows, columns))
    pictures = np.stack(shown, 1).reshape(-1, *shown[0].shape[1:])
    write_images(out, pictures, loaded.spec.levels, columns=draws + 1)
    Terminal(quiet=machine.quiet).tell(
        f"wrote {len(small):,} rows of a picture enlarged {factor} times by repetition and {draws} times by the model to {out}"
    )
    return 0


def restyle_pictures(
    path: str, source: str, condition: str | None, rows: int, out: str, machine: MachineOptions
) -> int:
    """Write a grid whose rows keep the latent code of a picture, its style, and whose columns change what the model is given.

    Raises:
        UsageError: The model is given nothing.
    """
    require_picture_output(out, [path, source])
    loaded = TrainedPictures.open(path, start(machine))
    loaded.given_with(condition)
    classes = loaded.spec.classes
    if not classes and not loaded.spec.condition:
        raise UsageError(f"{path} is a model without classes or conditions; fit one with --label or --condition first")
    shown = loaded.read_held(source).take(slice(rows))
    x, context = loaded.rows(shown), loaded.context_of(shown)
    if context is None:
        raise DataError(f"{source}: expected pictures with a label or a condition, got neither")
    others = context
    if classes:
        others = torch.eye(classes, dtype=context.dtype, device=context.device)
    given = [None if classes else shown.given.take(np.full(len(x), i)) for i in range(len(others))]  # type: ignore[union-attr]
    rule = None if classes else loaded.rule
    columns = [completed(shown.images, rule, shown.given)]
    with isolated(loaded.model.device, machine.seed):
        codes = encode(loaded.model, x, context)
        for other, picture in zip(others, given, strict=True):
            new = decode(loaded.model, codes, other.expand_as(context))
            columns.append(completed(as_bytes(new, loaded.spec.levels), rule, picture))
    write_images(out, np.stack(columns, 1).reshape(-1, *columns[0].shape[1:]), loaded.spec.levels, columns=len(columns))
    what = "classes" if classes else "conditions"
    Terminal(quiet=machine.quiet).tell(
        f"wrote {len(x)} rows: a picture, and its code with {len(others)} {what}, to {out}"
    )
    return 0


def _opened(path: str, kind: type[PictureCondition], example: str, machine: MachineOptions) -> TrainedPictures:
    """Return a model that is given a part of the pictures of a kind.

    Raises:
        UsageError: The model is given something else, or nothing.
    """
    loaded = TrainedPictures.open(path, start(machine))
    text = loaded.data.get("condition")
    if not isinstance(loaded.rule if text else None, kind):
        got = f"{text} as condition" if text else "no condition"
        raise UsageError(f"expected a model that was fitted with --condition {example}, got {path}, which has {got}")
    return loaded


def _resized(planes: Array, height: int, width: int) -> Array:
    """Return pictures of bytes (N, C, H, W) at another height and width, by Lanczos interpolation."""
    if planes.shape[2:] == (height, width):
        return planes
    library = load_pillow("resizing pictures")
    new = np.empty((*planes.shape[:2], height, width), dtype=np.uint8)
    for old, target in zip(planes.reshape(-1, *planes.shape[2:]), new.reshape(-1, height, width), strict=True):
        target[...] = library.fromarray(old).resize((width, height), library.Resampling.LANCZOS)
    return new


def _tiles(pictures: Array, rows: int, columns: int) -> Array:
    """Return the tiles of pictures, (N * rows * columns, C, h, w)."""
    n, c, height, width = pictures.shape
    cut = pictures.reshape(n, c, rows, height // rows, columns, width // columns)
    return cut.transpose(0, 2, 4, 1, 3, 5).reshape(-1, c, height // rows, width // columns)


def _joined(tiles: Array, rows: int, columns: int) -> Array:
    """Return the pictures of which `_tiles` returns the tiles."""
    _, c, height, width = tiles.shape
    cut = tiles.reshape(-1, rows, columns, c, height, width)
    return cut.transpose(0, 3, 1, 4, 2, 5).reshape(-1, c, rows * height, columns * width)
