"""What a model of pictures is asked: `sample`, `interpolate`, `edit`, `resample` and `score`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core import Flow
from ..data import ImageSet, Table, read_images, write_table
from ..errors import DataError, suggestion
from ..inference import (
    attribute,
    bits_from,
    decode,
    draw,
    encode,
    interpolate,
    log_likelihoods,
    nearest,
    resample,
    shift,
)
from ..serialize import load
from ..systems.images import ImageSpec
from ..training.rng import isolated
from .display import aligned, print_json, tell
from .files import require_table_suffix, require_writable
from .image_fitting import write_samples
from .models import start
from .options import MachineOptions
from .problems import UsageError

PICTURES = (".png", ".npy", ".npz")
SHOWN = 64
"""Samples that are drawn when no number is given."""


@dataclass(frozen=True)
class LoadedPictures:
    """A model of pictures, from a file.

    Args:
        path: of the file.
        model: on its device, in evaluation mode.
        spec: of the system.
        training: the record that `fit` saved.
    """

    path: str
    model: Flow
    spec: ImageSpec
    training: dict[str, Any]

    @property
    def label(self) -> str:
        """The attribute that the model is conditional on."""
        return self.training.get("data", {}).get("label") or "label"

    def read(self, source: str) -> tuple[ImageSet, ImageSet]:
        """Pictures for this model: those to learn from, and those to show or score, which are the test part where there is one.

        Raises:
            DataError: they differ from the model's in size, channels or levels.
        """
        split = read_images(source, levels=self.spec.levels)
        if split.train.shape != self.spec.shape:
            raise DataError(
                f"{source}: expected pictures of {_size(self.spec.shape)} as {self.path} models, got {_size(split.train.shape)}"
            )
        return split.train, split.test if split.test is not None else split.train

    def rows(self, part: ImageSet) -> Tensor:
        """Pictures as the model takes them."""
        return torch.as_tensor(part.images, dtype=self.model.dtype, device=self.model.device)

    def context_of(self, part: ImageSet) -> Tensor | None:
        """The labels of pictures as the model takes them; None where it takes none.

        Raises:
            DataError: they have none, or other ones.
        """
        if not self.spec.classes:
            return None
        labels, _ = part.labels(self.label)
        if len(labels) and labels.max() >= self.spec.classes:
            raise DataError(f"expected labels 0 to {self.spec.classes - 1} as {self.path} models, got {labels.max()}")
        return self._one_hot(torch.as_tensor(labels))

    def context_for(self, label: str | None, count: int) -> Tensor | None:
        """One class for so many pictures, by number or name; all classes in turn where none is asked for.

        Raises:
            UsageError: the model takes no label, or there is no such class.
        """
        if not self.spec.classes:
            if label is not None:
                raise UsageError(f"{self.path} takes no label; fit with --label to make a model by class")
            return None
        if label is None:
            return self._one_hot(torch.arange(count) % self.spec.classes)
        names = [*self.training.get("data", {}).get("classes", ())]
        known = names if names else [str(i) for i in range(self.spec.classes)]
        number = names.index(label) if label in names else int(label) if label.isdigit() else -1
        if not 0 <= number < self.spec.classes:
            raise UsageError(
                f"expected --label to be a class of {self.path}, got {label!r}; {suggestion(label, known, 'it has')}"
            )
        return self._one_hot(torch.full((count,), number))

    def _one_hot(self, labels: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(labels, self.spec.classes).to(self.model.dtype).to(self.model.device)

    def write(self, out: str, x: Tensor, columns: int | None = None) -> None:
        """Pictures as a grid or arrays."""
        write_samples(out, x, self.spec.levels, columns=columns)


def open_pictures(path: str, device: torch.device) -> LoadedPictures:
    """Read a model of pictures.

    Raises:
        FileError: the file cannot be read, or holds no model.
        DataError: the model is not one of pictures, or is given pictures itself.
    """
    saved = load(path)
    if not isinstance(saved.spec, ImageSpec) or not isinstance(saved.model, Flow):
        raise DataError(f"expected a model of pictures in {path}, got another one")
    if saved.spec.condition:
        raise DataError(f"{path} is given pictures as context; use it in Python with pushforward.load")
    return LoadedPictures(path, saved.model.to(device).eval(), saved.spec, saved.training)


def sample_pictures(
    path: str,
    count: int | None,
    out: str,
    temperature: float,
    label: str | None,
    like: str | None,
    machine: MachineOptions,
) -> int:
    """Draw pictures; with `like`, each above the nearest picture of a source.

    Raises:
        FlowError: see the package for the exit codes.
    """
    _require_out(out, [path])
    loaded = open_pictures(path, start(machine))
    count = SHOWN if count is None else count
    context = loaded.context_for(label, count)
    known = loaded.rows(loaded.read(like)[0]) if like is not None else None
    with isolated(loaded.model.device, machine.seed):
        drawn = [
            draw(
                loaded.model,
                min(SHOWN, count - i),
                None if context is None else context[i : i + SHOWN],
                temperature=temperature,
            )
            for i in range(0, count, SHOWN)
        ]
    x, columns = torch.cat(drawn), None
    if known is not None:
        numbers, distances = nearest(x, known)
        tell(
            f"nearest pictures of {like}: {float(distances.mean()) / (loaded.spec.levels - 1):.3f} of the range of brightness "
            f"away in the mean, {float(distances.min()) / (loaded.spec.levels - 1):.3f} at least",
            quiet=machine.quiet,
        )
        x, columns = _paired(x, known[numbers[:, 0]])
    loaded.write(out, x, columns)
    tell(f"wrote {count:,} pictures to {out}", quiet=machine.quiet)
    return 0


def interpolate_pictures(
    path: str, a: str, b: str, steps: int, out: str, label: str | None, machine: MachineOptions, *, linear: bool
) -> int:
    """A strip of pictures on the way from one to another in the latent space.

    Raises:
        FlowError: see the package for the exit codes.
    """
    if steps < 2:
        raise UsageError(f"expected --steps to be at least 2, got {steps}")
    _require_out(out, [path, a, b])
    loaded = open_pictures(path, start(machine))
    if loaded.spec.classes and label is None:
        raise UsageError(f"{path} is a model by class; say which one with --label")
    ends = []
    with isolated(loaded.model.device, machine.seed):
        for source in (a, b):
            found, _ = loaded.read(source)
            if len(found) != 1:
                raise DataError(f"expected one picture in {source}, got {len(found)}")
            ends.append(encode(loaded.model, loaded.rows(found), _first(loaded.context_for(label, 1))))
        codes = interpolate(ends[0], ends[1], steps, spherical=not linear)
        context = loaded.context_for(label, 1)
        x = decode(loaded.model, codes, None if context is None else context.expand(steps, -1))
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
    low, high = _range(strength)
    if steps < 2:
        raise UsageError(f"expected --steps to be at least 2, got {steps}")
    _require_out(out, [path, source])
    loaded = open_pictures(path, start(machine))
    known, shown = loaded.read(source)
    labels = torch.as_tensor(_has(known, name))
    shown = shown.take(slice(rows))
    with isolated(loaded.model.device, machine.seed):
        direction = attribute(_encoded(loaded, known), labels.to(loaded.model.device))
        codes = _encoded(loaded, shown)
        moved = [
            decode(loaded.model, shift(codes, direction, s), loaded.context_of(shown))
            for s in np.linspace(low, high, steps).tolist()
        ]
    loaded.write(out, torch.stack(moved, 1).flatten(0, 1), steps)
    tell(
        f"{int(labels.sum()):,} of {len(labels):,} pictures have {name}; wrote {len(shown)} x {steps} pictures to {out}, "
        f"strength {low:g} to {high:g}",
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
    _require_out(out, [path, source])
    loaded = open_pictures(path, start(machine))
    shown = loaded.read(source)[1].take(slice(rows))
    x, context = loaded.rows(shown), loaded.context_of(shown)
    with isolated(loaded.model.device, machine.seed):
        total = len(encode(loaded.model, x[:1], None if context is None else context[:1]))
        if not 1 <= keep <= total:
            raise UsageError(f"expected --keep to be 1 to {total}, the codes of {path}, got {keep}")
        variants = [resample(loaded.model, x, keep, context) for _ in range(columns - 1)]
    loaded.write(out, torch.stack([x, *variants], 1).flatten(0, 1), columns)
    tell(f"kept {keep} of {total} codes; wrote {len(x)} x {columns} pictures to {out}", quiet=machine.quiet)
    return 0


def score_pictures(
    path: str, source: str, out: str | None, top: int, samples: int, machine: MachineOptions, *, json: bool
) -> int:
    """Bits per dimension of pictures, and the log-likelihood of each.

    Raises:
        FlowError: see the package for the exit codes.
    """
    if top < 0:
        raise UsageError(f"expected --top to be a number of pictures from 0, got {top}")
    if json and out == "-":
        raise UsageError("--json and --out - both want the standard output; give --out a file")
    if out is not None:
        require_table_suffix(out, "--out")
        require_writable(out, "--out", [path, source])
    loaded = open_pictures(path, start(machine))
    found = loaded.read(source)[1]
    logp = log_likelihoods(
        loaded.model, loaded.rows(found), loaded.context_of(found), samples=samples, seed=machine.seed, batch_size=256
    )
    bits = bits_from(loaded.model, logp, samples)
    if out is not None:
        write_table(Table(("log_prob",), (logp.numpy(),)), out)
    least = np.argsort(logp.numpy(), kind="stable")[:top]
    if top and not json:
        print(_least_likely_text(found, logp.numpy(), least, loaded))
    tell(f"{source}: {bits}", quiet=machine.quiet or json)
    if json:
        rows = [{"picture": int(i) + 1, "log_prob": float(logp[i])} for i in least]
        print_json({"model": path, "source": source, "system": loaded.spec.name, **vars(bits), "least_likely": rows})
    elif out not in (None, "-"):
        tell(f"wrote {out}", quiet=machine.quiet)
    return 0


def _least_likely_text(found: ImageSet, logp: np.ndarray, least: np.ndarray, loaded: LoadedPictures) -> str:
    lines = [("picture", "log_prob", "bits/dim", "file" if found.files else "")]
    for i in least:
        bits = loaded.model.space.bits(float(logp[i]))
        lines.append((str(i + 1), f"{logp[i]:.5g}", f"{bits:.3f}", found.files[i] if found.files else ""))
    return aligned(lines, right=(0, 1, 2))


def _encoded(loaded: LoadedPictures, part: ImageSet) -> list[Tensor]:
    x, context = loaded.rows(part), loaded.context_of(part)
    pieces = [
        encode(loaded.model, x[i : i + 256], None if context is None else context[i : i + 256])
        for i in range(0, len(x), 256)
    ]
    return [torch.cat(parts) for parts in zip(*pieces, strict=True)]


def _has(pictures: ImageSet, name: str) -> np.ndarray:
    """Which pictures have an attribute: NAME for one of 0 and 1, NAME=VALUE for any."""
    key, equals, value = name.partition("=")
    values, _ = pictures.labels(key)
    if equals:
        if not value.isdigit() or int(value) not in values:
            raise UsageError(f"expected --attribute {key}=VALUE with a value that pictures have, got {name!r}")
        return values == int(value)
    if not set(np.unique(values)) <= {0, 1} or len(np.unique(values)) < 2:
        raise UsageError(
            f"expected the attribute {key!r} to be 0 or 1, got {len(np.unique(values))} values; "
            f"say which one with --attribute {key}=VALUE"
        )
    return values == 1


def _range(text: str) -> tuple[float, float]:
    low, dots, high = text.partition("..")
    try:
        if not dots:
            raise ValueError
        ends = float(low), float(high)
    except ValueError:
        raise UsageError(f"expected --strength LOW..HIGH with two numbers, such as -2..2, got {text!r}") from None
    if not np.isfinite(ends).all() or ends[0] >= ends[1]:
        raise UsageError(f"expected --strength LOW..HIGH with LOW below HIGH, got {text!r}")
    return ends


def _require_out(out: str, inputs: Sequence[str]) -> None:
    if Path(out).suffix.lower() not in PICTURES:
        raise UsageError(f"expected --out to be a file of type {', '.join(PICTURES)}, got {out}")
    require_writable(out, "--out", [path for path in inputs if Path(path).is_file()])


def _paired(upper: Tensor, lower: Tensor) -> tuple[Tensor, int]:
    """Rows of pictures, each with a row of others under it, and how many there are in a row."""
    columns = min(8, len(upper))
    rows = zip(upper.split(columns), lower.split(columns), strict=True)
    if len(upper) % columns:
        filler = upper.new_zeros(columns - len(upper) % columns, *upper.shape[1:])
        rows = (
            (torch.cat([a, filler]) if len(a) < columns else a, torch.cat([b, filler]) if len(b) < columns else b)
            for a, b in rows
        )  # type: ignore[assignment]
    return torch.cat([part for pair in rows for part in pair]), columns


def _first(context: Tensor | None) -> Tensor | None:
    return None if context is None else context[:1]


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[2]} with {shape[0]} channel{'s' if shape[0] > 1 else ''}"
