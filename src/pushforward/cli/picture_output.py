"""Output of pictures: grids and arrays, and the checks before any work is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..output import require_writable
from ..pictures import ImageSet, PictureCondition, write_images
from ..pictures.picture_files import load_pillow
from .options import UsageError

Array = np.ndarray[Any, np.dtype[Any]]
WRITTEN = (".png", ".npy", ".npz")
"""Suffixes of the files to which pictures can be written."""
WIDEST = 16
"""Largest number of classes for which a grid has a column for each class."""


def grid_columns(classes: int) -> int | None:
    """Return the number of classes as the number of columns of a grid; None for no classes or too many of them."""
    return classes if 1 < classes <= WIDEST else None


def as_bytes(x: Tensor, levels: int) -> Array:
    """Return pictures of a model, levels (N, C, H, W), as an array in uint8."""
    return x.clamp(0, levels - 1).to(torch.uint8).cpu().numpy()


def completed(learned: Array, rule: PictureCondition | None, given: ImageSet | None) -> Array:
    """Return pictures together with those that a model is given, if these are a part of them by a rule."""
    return learned if rule is None or given is None else rule.join(learned, given.images)


def write_samples(
    path: str | os.PathLike[str],
    x: Tensor,
    levels: int,
    *,
    rule: PictureCondition | None = None,
    given: ImageSet | None = None,
    **options: Any,
) -> None:
    """Write pictures of a model, levels (N, C, H, W), as a grid or as an array; a rule completes them by those given."""
    write_images(path, completed(as_bytes(x, levels), rule, given), levels, **options)


def require_pillow(path: str, option: str) -> None:
    """Refuse a .png file if Pillow is not installed.

    Raises:
        FileError: Pillow is not installed.
    """
    if Path(path).suffix.lower() == ".png":
        load_pillow(f"{option} for pictures")


def require_picture_output(out: str, inputs: Sequence[str]) -> None:
    """Refuse an output for pictures that cannot be written, before any work is done.

    Raises:
        UsageError: The file has an unknown type, or is one of the inputs.
        FileError: The file cannot be written, or Pillow is not installed.
    """
    if Path(out).suffix.lower() not in WRITTEN:
        raise UsageError(f"expected --out to be a file of type {', '.join(WRITTEN)} for pictures, got {out}")
    require_pillow(out, f"--out {out}")
    require_writable(out, "--out", inputs)


def in_pairs(upper: Tensor, lower: Tensor, columns: int, fill: float) -> Tensor:
    """Return pictures in rows, with a row of `lower` below each row of `upper`; empty places in the last rows are filled."""
    blank = upper.new_full((-len(upper) % columns, *upper.shape[1:]), round(fill))
    rows = zip(torch.cat([upper, blank]).split(columns), torch.cat([lower, blank]).split(columns), strict=True)
    return torch.cat([part for pair in rows for part in pair])
