"""Commands `interpolate`, `edit` and `resample`, which change pictures in the latent space of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..errors import DataError
from ..evaluation import Codes, attribute, decode, encode, interpolate, resample, shift
from ..pictures import ImageSet
from ..training.random_state import isolated
from .console import Terminal
from .options import MachineOptions, UsageError
from .picture_output import require_picture_output
from .task import start
from .trained_pictures import CHUNK, TrainedPictures

Array = np.ndarray[Any, np.dtype[Any]]


def interpolate_pictures(
    path: str, a: str, b: str, steps: int, out: str, label: str | None, machine: MachineOptions, *, linear: bool
) -> int:
    """Write a strip of pictures along a path from one picture to another in the latent space."""
    _require_steps(steps)
    require_picture_output(out, [path, a, b])
    loaded = TrainedPictures.open_alone(path, start(machine))
    if loaded.spec.classes and label is None:
        raise UsageError(f"{path} is a model of pictures by class; give the class with --label")
    context = loaded.one_hot(loaded.classes_for(label, 1))
    ends = []
    with isolated(loaded.model.device, machine.seed):
        for source in (a, b):
            found = loaded.read(source).train
            if len(found) != 1:
                raise DataError(f"expected one picture in {source}, got {len(found):,}")
            ends.append(encode(loaded.model, loaded.rows(found), context))
        codes = interpolate(ends[0], ends[1], steps, spherical=not linear)
        x = decode(loaded.model, codes, None if context is None else context[0])
    loaded.write(out, x, steps)
    Terminal(quiet=machine.quiet).tell(f"wrote {steps} pictures to {out}")
    return 0


def edit_pictures(
    path: str, source: str, name: str, strength: str, steps: int, rows: int, out: str, machine: MachineOptions
) -> int:
    """Write a grid of pictures that are moved along an attribute: a row for each picture, a column for each strength."""
    strengths = _strengths(strength, steps)
    require_picture_output(out, [path, source])
    loaded = TrainedPictures.open_alone(path, start(machine))
    split = loaded.read(source)
    labels = torch.as_tensor(_having(split.train, name))
    shown = (split.train if split.test is None else split.test).take(slice(rows))
    context = loaded.context_of(shown)
    Terminal(quiet=machine.quiet).tell(
        f"the direction is the mean code of {int(labels.sum()):,} pictures with {name} minus that of "
        f"{int((~labels).sum()):,} without"
    )
    with isolated(loaded.model.device, machine.seed):
        direction = attribute(_codes(loaded, split.train), labels.to(loaded.model.device))
        codes = _codes(loaded, shown)
        moved = [decode(loaded.model, shift(codes, direction, s), context) for s in strengths]
    loaded.write(out, torch.stack(moved, 1).flatten(0, 1), steps)
    Terminal(quiet=machine.quiet).tell(
        f"wrote {len(shown)} rows of {steps} pictures to {out}, strength {strengths[0]:g} to {strengths[-1]:g}"
    )
    return 0


def resample_pictures(
    path: str, source: str, keep: int, rows: int, columns: int, out: str, machine: MachineOptions
) -> int:
    """Write a grid with a row for each picture: first the picture, then new pictures with the same coarsest codes."""
    require_picture_output(out, [path, source])
    loaded = TrainedPictures.open_alone(path, start(machine))
    shown = loaded.read_held(source).take(slice(rows))
    x, context = loaded.rows(shown), loaded.context_of(shown)
    with isolated(loaded.model.device, machine.seed):
        total = len(_codes(loaded, shown.take(slice(1))))
        if keep > total:
            raise UsageError(f"expected --keep to be 1 to {total}, the number of codes of {path}, got {keep}")
        variants = [resample(loaded.model, x, keep, context) for _ in range(columns - 1)]
    loaded.write(out, torch.stack([x, *variants], 1).flatten(0, 1), columns)
    Terminal(quiet=machine.quiet).tell(
        f"kept {keep} of {total} codes; wrote {len(x)} rows of {columns} pictures to {out}"
    )
    return 0


def _codes(loaded: TrainedPictures, part: ImageSet) -> Codes:
    """Return the codes of pictures, computed in chunks that fit in memory."""
    x, context = loaded.rows(part), loaded.context_of(part)
    pieces = [
        encode(loaded.model, x[i : i + CHUNK], None if context is None else context[i : i + CHUNK])
        for i in range(0, len(x), CHUNK)
    ]
    return [torch.cat(parts) for parts in zip(*pieces, strict=True)]


def _having(pictures: ImageSet, name: str) -> Array:
    """Return a mask of the pictures that have an attribute.

    Args:
        pictures: The pictures.
        name: Attribute: NAME for the higher one of two values, or NAME=VALUE, where the value of a label can be a class name.

    Raises:
        UsageError: All pictures have the same value, no picture has the value, or NAME alone has more than two values.
    """
    key, equals, text = name.partition("=")
    if key not in pictures.attributes:
        pictures.labels(key)
    values = pictures.attributes[key]
    known = [int(value) for value in np.unique(values)]
    listed = ", ".join(map(str, known[:12])) + (" ..." if len(known) > 12 else "")
    if len(known) < 2:
        raise UsageError(f"expected pictures with and without {key}, got {listed} for all of them")
    if equals:
        if key == "label" and text in pictures.classes:
            text = str(pictures.classes.index(text))
        if text not in map(str, known):
            raise UsageError(f"expected --attribute {key}=VALUE with one of the values {listed}, got {name!r}")
        return values == int(text)
    if len(known) > 2:
        raise UsageError(
            f"expected an attribute that is there or not, got {len(known)} values of {key} ({listed}); "
            f"choose one, such as --attribute {key}={known[-1]}"
        )
    return values == known[-1]


def _strengths(text: str, steps: int) -> list[float]:
    """Return a range LOW..HIGH as a number of equally spaced strengths."""
    _require_steps(steps)
    low, dots, high = text.partition("..")
    try:
        if not dots:
            raise ValueError
        ends = float(low), float(high)
    except ValueError:
        raise UsageError(f"expected --strength LOW..HIGH with two numbers, such as -2..2, got {text!r}") from None
    if not np.isfinite(ends).all() or ends[0] >= ends[1]:
        raise UsageError(f"expected --strength LOW..HIGH with LOW below HIGH, got {text!r}")
    return np.linspace(*ends, steps).tolist()


def _require_steps(steps: int) -> None:
    if steps < 2:
        raise UsageError(f"expected --steps to be at least 2, got {steps}")
