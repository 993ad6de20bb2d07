"""New pictures and changed ones: `sample`, `interpolate`, `edit` and `resample`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..evaluation import Codes, attribute, decode, draw, encode, interpolate, nearest, resample, shift
from ..pictures import ImageSet
from ..training.random_state import isolated
from .display import tell
from .models import start
from .options import MachineOptions
from .pictures import CHUNK, LoadedPictures, open_pictures, require_picture_output
from .problems import UsageError

Array = np.ndarray[Any, np.dtype[Any]]

SHOWN = 64
"""Samples when no number is given."""
DRAWN = 64
"""Samples that are drawn together; a constant, because the draws depend on it."""
SIDE = 8
"""Samples in a row above their nearest pictures, for a model without classes."""
GREY = 0.5
"""Of the range of brightness, where a row of pictures is not full."""


def sample_pictures(
    path: str,
    count: int | None,
    out: str,
    temperature: float,
    label: str | None,
    like: str | None,
    machine: MachineOptions,
) -> int:
    """Draw pictures; with `like`, say how near the nearest pictures of a source are, and show them in a grid.

    Raises:
        FlowError: see the package for the exit codes.
    """
    require_picture_output(out, [path] if like is None else [path, like])
    loaded = open_pictures(path, start(machine))
    count = SHOWN if count is None else count
    classes = loaded.classes_for(label, count)
    context = loaded.one_hot(classes)
    known = None if like is None else loaded.read(like).train
    with isolated(loaded.model.device, machine.seed):
        drawn = [
            draw(
                loaded.model,
                min(DRAWN, count - i),
                None if context is None else context[i : i + DRAWN],
                temperature=temperature,
            )
            for i in range(0, count, DRAWN)
        ]
    x, columns = torch.cat(drawn), loaded.columns if label is None else None
    attributes: dict[str, Array] = {} if classes is None else {"label": classes.numpy()}
    if known is not None:
        numbers, distances = nearest(x, loaded.rows(known))
        share = distances / (loaded.spec.levels - 1)
        tell(
            f"nearest pictures of {like}: {float(share.mean()):.3f} of the range of brightness away in the mean, "
            f"{float(share.min()):.3f} at least",
            quiet=machine.quiet,
        )
        attributes["nearest"] = numbers[:, 0].cpu().numpy()
        if out.lower().endswith(".png"):
            columns = min(columns or SIDE, count)
            x = _in_pairs(x, loaded.rows(known)[numbers[:, 0]], columns, GREY * (loaded.spec.levels - 1))
    loaded.write(out, x, columns, attributes)
    tell(f"wrote {count:,} pictures to {out}", quiet=machine.quiet)
    return 0


def interpolate_pictures(
    path: str, a: str, b: str, steps: int, out: str, label: str | None, machine: MachineOptions, *, linear: bool
) -> int:
    """A strip of pictures on the way from one to another in the latent space.

    Raises:
        FlowError: see the package for the exit codes.
    """
    _require_steps(steps)
    require_picture_output(out, [path, a, b])
    loaded = open_pictures(path, start(machine))
    if loaded.spec.classes and label is None:
        raise UsageError(f"{path} is a model by class; say which one with --label")
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
    tell(f"wrote {steps} pictures to {out}", quiet=machine.quiet)
    return 0


def edit_pictures(
    path: str, source: str, name: str, strength: str, steps: int, rows: int, out: str, machine: MachineOptions
) -> int:
    """Pictures moved along an attribute: one row a picture, one column a strength.

    Raises:
        FlowError: see the package for the exit codes.
    """
    strengths = _strengths(strength, steps)
    require_picture_output(out, [path, source])
    loaded = open_pictures(path, start(machine))
    split = loaded.read(source)
    labels = torch.as_tensor(_having(split.train, name))
    shown = (split.train if split.test is None else split.test).take(slice(rows))
    context = loaded.context_of(shown)
    tell(
        f"the direction is the mean code of {int(labels.sum()):,} pictures with {name} minus that of "
        f"{int((~labels).sum()):,} without",
        quiet=machine.quiet,
    )
    with isolated(loaded.model.device, machine.seed):
        direction = attribute(_codes(loaded, split.train), labels.to(loaded.model.device))
        codes = _codes(loaded, shown)
        moved = [decode(loaded.model, shift(codes, direction, s), context) for s in strengths]
    loaded.write(out, torch.stack(moved, 1).flatten(0, 1), steps)
    tell(
        f"wrote {len(shown)} rows of {steps} pictures to {out}, strength {strengths[0]:g} to {strengths[-1]:g}",
        quiet=machine.quiet,
    )
    return 0


def resample_pictures(
    path: str, source: str, keep: int, rows: int, columns: int, out: str, machine: MachineOptions
) -> int:
    """Pictures beside others that share their coarsest codes: one row a picture, which comes first.

    Raises:
        FlowError: see the package for the exit codes.
    """
    require_picture_output(out, [path, source])
    loaded = open_pictures(path, start(machine))
    shown = loaded.read_held(source).take(slice(rows))
    x, context = loaded.rows(shown), loaded.context_of(shown)
    with isolated(loaded.model.device, machine.seed):
        total = len(_codes(loaded, shown.take(slice(1))))
        if keep > total:
            raise UsageError(f"expected --keep to be 1 to {total}, the number of codes of {path}, got {keep}")
        variants = [resample(loaded.model, x, keep, context) for _ in range(columns - 1)]
    loaded.write(out, torch.stack([x, *variants], 1).flatten(0, 1), columns)
    tell(f"kept {keep} of {total} codes; wrote {len(x)} rows of {columns} pictures to {out}", quiet=machine.quiet)
    return 0


def _codes(loaded: LoadedPictures, part: ImageSet) -> Codes:
    """The codes of pictures, in chunks that fit in memory."""
    x, context = loaded.rows(part), loaded.context_of(part)
    pieces = [
        encode(loaded.model, x[i : i + CHUNK], None if context is None else context[i : i + CHUNK])
        for i in range(0, len(x), CHUNK)
    ]
    return [torch.cat(parts) for parts in zip(*pieces, strict=True)]


def _having(pictures: ImageSet, name: str) -> Array:
    """Which pictures have an attribute: NAME for the higher of two values, NAME=VALUE for any; a label also by its class.

    Raises:
        DataError: there is no such attribute.
        UsageError: no picture, or every one, has that value, or there are more than two.
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
    """LOW..HIGH as so many numbers.

    Raises:
        UsageError: it is no such range.
    """
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


def _in_pairs(upper: Tensor, lower: Tensor, columns: int, fill: float) -> Tensor:
    """Rows of pictures, each with the row of others under it; what is missing in the last ones is filled."""
    blank = upper.new_full((-len(upper) % columns, *upper.shape[1:]), round(fill))
    rows = zip(torch.cat([upper, blank]).split(columns), torch.cat([lower, blank]).split(columns), strict=True)
    return torch.cat([part for pair in rows for part in pair])
