"""`pushforward fit` for pictures: from a data set, a folder or an array to a model file."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .. import systems as _systems  # noqa: F401  (registers every system)
from ..core import Distribution
from ..errors import DataError, FileError, FlowError, SpecError, suggestion
from ..evaluation import bits_per_dimension, draw
from ..objectives import Flipped, NegativeLogLikelihood
from ..pictures import ImageSet
from ..pictures.crops import random_crops
from ..systems.picture_spec import PictureSpec
from ..systems.spec import Spec, spec_from_dict
from ..terminal import write_output
from ..training import TrainConfig
from ..training.checkpoint import load_checkpoint
from ..training.config import batches_in
from ..training.parallel.processes import leave, process_rank, world_size
from ..training.random_state import isolated
from .display import print_json, tell
from .files import require_writable
from .holdout import Holdout, Parts
from .models import start
from .options import ImageOptions, MachineOptions, OutputOptions, SystemOptions, TableOptions, TrainOptions
from .pictures import advised, describe, grid_columns, read_list, read_pictures, require_pillow, write_samples
from .problems import UsageError
from .runs import Checkpoint, keep, origin, reserved, save_interrupted, system_arguments, train_model
from .summary import bits_text, training_text
from .values import part

IMAGE_FLOW = "glow"
"""System of pictures when none is named."""
BATCH = 64
LONG, LONG_EMA = 10_000, 0.999
"""Steps from which the weights are averaged over longer by default, and the decay that does it."""
WATCHED = 1000
"""Validation pictures that are looked at after each epoch, at most."""
SHOWN = 64
"""Samples in a grid."""
HELD = 5000
"""Crops of validation pictures, and of test pictures, at most."""
MOST_CLASSES = 1000
"""That a label may have: it is given as a vector of so many numbers with every picture."""


@dataclasses.dataclass(frozen=True)
class _Job:
    """Pictures that are ready to be learned."""

    train: ImageSet
    valid: ImageSet | None
    test: ImageSet | None
    label: str | None
    classes: int
    holdout: Holdout

    def rows(self, part: ImageSet) -> Tensor:
        return torch.as_tensor(part.images, dtype=torch.float32)

    def context(self, part: ImageSet) -> Tensor | None:
        if self.label is None:
            return None
        return torch.nn.functional.one_hot(torch.as_tensor(part.labels(self.label)[0]), self.classes).float()


def fit_images(
    source: str,
    output: OutputOptions,
    system: SystemOptions,
    columns: TableOptions,
    images: ImageOptions,
    training: TrainOptions,
    machine: MachineOptions,
) -> int:
    """Read, split, train, save, score, save with the score, and say how it went.

    Raises:
        FlowError: see the package for the exit codes.
        Interrupted: Ctrl-C or SIGTERM, after something was saved.
    """
    with reserved(source, output) as checkpoint:
        return _fit_images(source, output, checkpoint, system, columns, images, training, machine)


def _fit_images(
    source: str,
    output: OutputOptions,
    checkpoint: Checkpoint,
    system: SystemOptions,
    columns: TableOptions,
    images: ImageOptions,
    training: TrainOptions,
    machine: MachineOptions,
) -> int:
    first = process_rank() == 0
    if not first:
        machine = dataclasses.replace(machine, quiet=True)
    name = picture_system(system.flow)
    arguments = system_arguments(_with_preset(system, name), name)
    if system.labels is not None:
        raise UsageError("--labels is for the columns of tables; leave it out for pictures")
    if columns.kind or columns.bounds or columns.drop:
        raise UsageError("--kind, --bounds and --drop are for the columns of tables; leave them out for pictures")
    _require_folder(images.grids, training, [output.model, output.metrics, str(checkpoint.path)])
    device = start(machine, shared=True)
    job = _prepare(source, images, columns, machine.seed)
    spec = _spec(name, arguments, job)
    config = _config(training, machine, output.resume, len(job.train), math.prod(spec.shape))
    with advised(source), isolated(torch.device("cpu"), machine.seed):
        model = spec.build().to(device)
    _announce(source, output.model, job, spec, model, machine)
    result = train_model(
        model,
        job.rows(job.train),
        output,
        checkpoint,
        machine,
        context=job.context(job.train),
        validation=_watched(job, machine.seed),
        config=config,
        objective=Flipped(NegativeLogLikelihood(model)) if images.flips else None,
        callbacks=[_grids(model, job, images.grids, machine)] if images.grids is not None and first else [],
    )
    leave()
    record = {
        **result.to_dict(),
        "data": _data_record(source, images, job),
        "split": job.holdout.to_dict(),
        **origin(),
    }
    if result.stopped == "interrupted":
        save_interrupted(model, spec, record, result, output, checkpoint)
    if not first:
        return 0
    keep(model, spec, record, output, checkpoint, lambda: _scores(job, model, output, machine))
    if output.json:
        shown = {key: value for key, value in record.items() if key != "history"}
        print_json({"model": output.model, "system": spec.name, "spec": spec.to_dict(), **shown})
    elif not machine.quiet:
        write_output(
            f"\n{bits_text(spec.name, record['scores'])}" if record["scores"] else "\nno pictures were held out"
        )
    tell(f"\ntraining: {training_text(record)}\nwrote {output.model}", quiet=machine.quiet)
    return 0


def picture_system(flow: str | None) -> str:
    """Name of the system for pictures; the twin of one for tables, where it has one.

    Raises:
        UsageError: it models tables only.
        SpecError: there is no such system.
    """
    name = flow or IMAGE_FLOW
    known = [n for n, cls in Spec.registry.items() if issubclass(cls, PictureSpec)]
    for candidate in (name, f"{name}-image"):
        if candidate in known:
            return candidate
    if name in Spec.registry:
        raise UsageError(f"{name} models tables, not pictures; for pictures there are {', '.join(sorted(known))}")
    raise SpecError(f"unknown system {name!r}; {suggestion(name, sorted(known), 'for pictures there are')}")


def _with_preset(system: SystemOptions, name: str) -> SystemOptions:
    has = system.preset is None and "small" in Spec.registry[name].presets
    return dataclasses.replace(system, preset="small") if has else system


def _require_folder(grids: str | None, training: TrainOptions, files: Sequence[str | None]) -> None:
    """Refuse a folder for grids that cannot be had; it is made when training begins."""
    if grids is None:
        return
    if world_size() > 1 and training.parallel == "fsdp":
        raise UsageError("--grids needs all weights in one process, which --parallel fsdp does not have; leave one out")
    if os.path.realpath(grids) in [os.path.realpath(file) for file in files if file]:
        raise UsageError(f"--grids {grids} is a file that this command writes; give another folder")
    if os.path.exists(grids) and not os.path.isdir(grids):
        raise FileError(f"{grids} cannot be used for --grids: it is a file; give a folder")
    require_pillow("grid.png", "--grids")
    require_writable(os.path.join(grids, "grid.png") if os.path.isdir(grids) else grids, "--grids")


def _prepare(source: str, images: ImageOptions, options: TableOptions, seed: int) -> _Job:
    """Read the pictures and split those that have no parts: first the test pictures are drawn, then those for validation."""
    shares = {option: part(getattr(options, option), f"--{option}") for option in ("test", "validation")}
    if images.tiles is not None:
        return _prepare_tiles(source, images, images.tiles, shares, seed)
    found = read_pictures(source, size=images.image_size, levels=images.levels)
    train, valid, test = found.train, found.valid, found.test
    if len(train) < 2:
        raise DataError(f"{source}: expected at least 2 pictures to learn from, got {len(train)}")
    label, classes = None, 0
    if images.label is not False:
        label = _label_name(train, images.label)
        classes = max(p.labels(label)[1] for p in (train, valid, test) if p is not None)
        if classes > MOST_CLASSES:
            raise DataError(
                f"{source}: expected at most {MOST_CLASSES:,} classes 0, 1, ... in the attribute {label!r}, "
                f"got numbers up to {classes - 1:,}; number them anew"
            )
    holdout = Holdout(
        len(train), shares["test"] if test is None else 0, shares["validation"] if valid is None else 0, seed
    )
    parts = holdout.parts("pictures")
    if len(parts.test):
        test = train.take(parts.test)
    if len(parts.validation):
        valid = train.take(parts.validation)
    return _Job(train.take(parts.train), valid, test, label, classes, holdout)


def _prepare_tiles(source: str, images: ImageOptions, size: int, shares: dict[str, int | float], seed: int) -> _Job:
    """Split the pictures, then draw random crops from those of each part."""
    if images.image_size is not None or images.label is not False:
        raise UsageError("--tiles learns crops of pictures as they are; leave --image-size and --label out")
    found = read_list(source, images.levels)
    holdout = Holdout(len(found), shares["test"], shares["validation"], seed)
    whole = Parts(np.arange(len(found)), np.arange(0), np.arange(0))
    parts = holdout.parts("pictures") if any(shares.values()) else whole
    with advised(source):
        train = random_crops(found, parts.train, size, seed=seed)
        valid, test = (
            random_crops(found, rows, size, most=HELD, seed=seed) if len(rows) else None
            for rows in (parts.validation, parts.test)
        )
    return _Job(train, valid, test, None, 0, holdout)


def _label_name(pictures: ImageSet, given: str | Literal[True]) -> str:
    """The attribute that is asked for; of a bare --label the one called label, or the only one.

    Raises:
        DataError: there is none, or several.
    """
    if given is not True:
        return given
    pictures.labels()
    return "label" if "label" in pictures.attributes else next(iter(pictures.attributes))


def _spec(name: str, arguments: dict[str, Any], job: _Job) -> PictureSpec:
    for field in ("shape", "levels", "classes", "condition"):
        if field in arguments:
            raise SpecError(f"expected no argument {field!r}: it follows from the pictures")
    sizes = {"shape": job.train.shape, "levels": job.train.levels, "classes": job.classes}
    spec = spec_from_dict({"system": name, **arguments, **sizes})
    if not isinstance(spec, PictureSpec):
        raise SpecError(f"expected a system of pictures, got {name!r}")
    return spec


def _config(training: TrainOptions, machine: MachineOptions, resume: str | None, rows: int, pixels: int) -> TrainConfig:
    config = TrainConfig(**dataclasses.asdict(training), seed=machine.seed, threads=machine.threads)
    if training.clip == TrainOptions().clip:
        # The loss adds up the nats of all pixels, and so do gradients: a limit for tables would hold every step back.
        config = config.replace(clip=config.clip * pixels)
    if config.batch_size is None:
        config = config.replace(batch_size=min(BATCH, rows))
    if training.ema != TrainOptions().ema:
        return config
    if resume is not None:
        # The length may change on resume, and the average goes on as it was.
        return config.replace(ema=load_checkpoint(resume)["config"]["ema"])
    resolved = config.resolve(rows)
    steps = (resolved.epochs or 1) * batches_in(rows, resolved.batch_size or 1)
    return config.replace(ema=LONG_EMA) if min(steps, resolved.max_steps or steps) >= LONG else config


def _watched(job: _Job, seed: int) -> tuple[Tensor, Tensor | None] | None:
    if job.valid is None:
        return None
    valid = job.valid
    if len(valid) > WATCHED:
        valid = valid.take(np.sort(np.random.default_rng(seed).permutation(len(valid))[:WATCHED]))
    return job.rows(valid), job.context(valid)


def _announce(
    source: str, out: str, job: _Job, spec: PictureSpec, model: Distribution, machine: MachineOptions
) -> None:
    counts = f"{len(job.train):,} to train"
    counts += f", {len(job.valid):,} to validate" if job.valid is not None else ""
    counts += f", {len(job.test):,} to test" if job.test is not None else ""
    given = f", by {job.label} ({job.classes} classes)" if job.label is not None else ""
    tell(f"{source}: {describe(spec.shape)}, {spec.levels} levels ({counts}){given}", quiet=machine.quiet)
    numbers = sum(p.numel() for p in model.parameters())
    tell(f"{spec.name}: {numbers:,} parameters, on {model.device.type}; the model goes to {out}", quiet=machine.quiet)


def _grids(model: Distribution, job: _Job, folder: str, machine: MachineOptions) -> Callable[[dict[str, Any]], None]:
    """After each epoch a grid of samples in a folder, from the same random numbers."""
    context = None if job.label is None else torch.eye(job.classes)[torch.arange(SHOWN) % job.classes].to(model.device)
    columns = grid_columns(job.classes)

    def write_grid(record: dict[str, Any]) -> None:
        try:
            os.makedirs(folder, exist_ok=True)
            with isolated(model.device, machine.seed):
                x = draw(model, SHOWN, context)
            write_samples(
                os.path.join(folder, f"epoch-{record['epoch']:04d}.png"), x, job.train.levels, columns=columns
            )
        except (FlowError, OSError) as error:
            # A picture to look at is no reason to lose a run.
            tell(f"no grid of epoch {record['epoch']}: {error}")

    return write_grid


def _data_record(source: str, images: ImageOptions, job: _Job) -> dict[str, Any]:
    """What the other commands need to read pictures for this model, and `inspect` to tell of them."""
    counts = {name: len(p) for name in ("train", "valid", "test") if (p := getattr(job, name)) is not None}
    return {
        "name": os.path.basename(os.path.normpath(source)),
        "pictures": counts,
        "image_size": images.image_size,
        "tiles": images.tiles,
        "label": job.label,
        "classes": list(job.train.classes) if job.label == "label" else [],
    }


def _scores(job: _Job, model: Distribution, output: OutputOptions, machine: MachineOptions) -> dict[str, Any] | None:
    """Bits per dimension of the held-out pictures, beside those of independent pixels; None when none were held out."""
    held = job.test if job.test is not None else job.valid
    if held is None:
        return None
    bits = bits_per_dimension(model, job.rows(held), job.context(held), seed=machine.seed)
    baselines = [
        {"name": "independent pixels", "value": independent_bits(job.train, held)},
        {"name": "uniform", "value": float(np.log2(job.train.levels))},
    ]
    return {
        "rows": "test" if job.test is not None else "validation",
        **dataclasses.asdict(bits),
        "baselines": baselines if output.baselines else [],
    }


def independent_bits(train: ImageSet, held: ImageSet) -> float:
    """Bits per dimension of pixels that are independent categoricals, with add-one counts of the training pictures."""
    flat, other = (p.images.reshape(len(p), -1) for p in (train, held))
    total = 0.0
    for i in range(flat.shape[1]):
        counts = np.bincount(flat[:, i], minlength=train.levels) + 1
        total -= float(np.log2(counts / counts.sum())[other[:, i]].mean())
    return total / flat.shape[1]
