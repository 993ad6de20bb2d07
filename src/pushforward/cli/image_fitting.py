"""`pushforward fit` for pictures: from a data set, a folder or an array to a model file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import systems as _systems  # noqa: F401  (registers every system)
from ..core import Distribution, Spec, spec_from_dict
from ..data import ImageSet, read_images, write_images
from ..errors import DataError, FileError, SpecError, suggestion
from ..inference import bits_per_dimension, draw
from ..objectives import Flipped, NegativeLogLikelihood
from ..serialize import save
from ..systems.images import ImageSpec
from ..training import TrainConfig, split_rows
from ..training.distributed import leave, process_rank
from ..training.rng import isolated
from .display import finite, print_json, tell
from .models import start
from .options import ImageOptions, MachineOptions, OutputOptions, SystemOptions, TableOptions, TrainOptions
from .problems import Interrupted, UsageError
from .runs import checked_paths, find_checkpoint, origin, save_interrupted, system_arguments, train_model
from .summary import bits_text, training_text
from .values import part

IMAGE_FLOW = "glow"
"""System of pictures when none is named."""
BATCH = 64
WATCHED = 1000
"""Validation pictures that are looked at after each epoch, at most."""
SHOWN = 64
"""Samples in a grid."""


@dataclasses.dataclass(frozen=True)
class _Job:
    """Pictures that are ready to be learned."""

    train: ImageSet
    valid: ImageSet | None
    test: ImageSet | None
    label: str | None
    classes: int

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
        Interrupted: Ctrl-C, after something was saved.
    """
    first = process_rank() == 0
    if not first:
        machine = dataclasses.replace(machine, quiet=True)
    name = picture_system(system.flow)
    arguments = system_arguments(_with_preset(system, name), name)
    if columns.kind or columns.bounds or columns.drop:
        raise UsageError("--kind, --bounds and --drop are for the columns of tables; leave them out for pictures")
    checkpoint = checked_paths(source, output) if first else find_checkpoint(output)
    grids = _grid_folder(images.grids)
    device = start(machine, shared=True)
    job = _prepare(source, images, columns, machine.seed)
    spec = _spec(name, arguments, job)
    config = _config(training, machine, len(job.train))
    with isolated(torch.device("cpu"), machine.seed):
        model = spec.build().to(device)
    _announce(source, job, spec, model, machine)
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
        callbacks=[] if grids is None or not first else [_grids(model, job, grids, machine)],
    )
    leave()
    record = {**result.to_dict(), "data": _data_record(source, job), "split": {"seed": machine.seed}, **origin()}
    if result.stopped == "interrupted":
        save_interrupted(model, spec, record, result, output, checkpoint)
    if not first:
        return 0
    save(output.out, model, spec=spec, training=finite(record))
    if checkpoint.temporary:
        checkpoint.path.unlink(missing_ok=True)
    try:
        record["scores"] = _scores(job, model, machine)
        save(output.out, model, spec=spec, training=finite(record))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted while scoring; the trained model is in {output.out}, without a score") from None
    if output.json:
        shown = {key: value for key, value in record.items() if key != "history"}
        print_json({"model": output.out, "system": spec.name, "spec": spec.to_dict(), **shown})
    elif not machine.quiet and record["scores"]:
        print(f"\n{bits_text(spec.name, record['scores'])}")
    tell(f"\ntraining: {training_text(record)}\nwrote {output.out}", quiet=machine.quiet)
    return 0


def picture_system(flow: str | None) -> str:
    """Name of the system for pictures; the twin of one for tables, where it has one.

    Raises:
        UsageError: it models tables only.
        SpecError: there is no such system.
    """
    name = flow or IMAGE_FLOW
    known = [n for n, cls in Spec.registry.items() if issubclass(cls, ImageSpec)]
    for candidate in (name, f"{name}-image"):
        if candidate in known:
            return candidate
    if name in Spec.registry:
        raise UsageError(f"{name} models tables, not pictures; for pictures there are {', '.join(sorted(known))}")
    raise SpecError(f"unknown system {name!r}; {suggestion(name, sorted(known), 'for pictures there are')}")


def _with_preset(system: SystemOptions, name: str) -> SystemOptions:
    has = system.preset is None and "small" in Spec.registry[name].presets
    return dataclasses.replace(system, preset="small") if has else system


def _grid_folder(path: str | None) -> Path | None:
    if path is None:
        return None
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{path} cannot be used for --grids: it is a file; give a folder")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(f"{path} cannot be made for --grids: {(error.strerror or str(error)).lower()}") from None
    return folder


def _prepare(source: str, images: ImageOptions, options: TableOptions, seed: int) -> _Job:
    """Read the pictures and split those that have no parts: first the test pictures are drawn, then those for validation."""
    found = read_images(source, size=images.image_size, levels=images.levels)
    train, valid, test = found.train, found.valid, found.test
    if len(train) < 4:
        raise DataError(f"{source}: expected at least 4 pictures to learn from, got {len(train)}")
    if test is None and (share := part(options.test, "--test")):
        rest, held = split_rows(len(train), share, seed)
        train, test = train.take(rest.numpy()), train.take(held.numpy())
    if valid is None and (share := part(options.validation, "--validation")):
        rest, held = split_rows(len(train), share, seed + 1)
        train, valid = train.take(rest.numpy()), train.take(held.numpy())
    classes = 0
    if images.label is not None:
        classes = max(p.labels(images.label)[1] for p in (train, valid, test) if p is not None)
    return _Job(train, valid, test, images.label, classes)


def _spec(name: str, arguments: dict[str, Any], job: _Job) -> ImageSpec:
    for field in ("shape", "levels", "classes", "condition"):
        if field in arguments:
            raise SpecError(f"expected no argument {field!r}: it follows from the pictures")
    sizes = {"shape": job.train.shape, "levels": job.train.levels, "classes": job.classes}
    spec = spec_from_dict({"system": name, **arguments, **sizes})
    if not isinstance(spec, ImageSpec):
        raise SpecError(f"expected a system of pictures, got {name!r}")
    return spec


def _config(training: TrainOptions, machine: MachineOptions, rows: int) -> TrainConfig:
    config = TrainConfig(**dataclasses.asdict(training), seed=machine.seed, threads=machine.threads)
    return config.replace(batch_size=min(BATCH, rows)) if config.batch_size is None else config


def _watched(job: _Job, seed: int) -> tuple[Tensor, Tensor | None] | None:
    if job.valid is None:
        return None
    valid = job.valid
    if len(valid) > WATCHED:
        valid = valid.take(np.sort(np.random.default_rng(seed).permutation(len(valid))[:WATCHED]))
    return job.rows(valid), job.context(valid)


def _announce(source: str, job: _Job, spec: ImageSpec, model: Distribution, machine: MachineOptions) -> None:
    channels, height, width = spec.shape
    counts = f"{len(job.train):,} to train"
    counts += f", {len(job.valid):,} to validate" if job.valid is not None else ""
    counts += f", {len(job.test):,} to test" if job.test is not None else ""
    given = f", by {job.label} ({job.classes} classes)" if job.label is not None else ""
    kind = "grey" if channels == 1 else "colour"
    tell(
        f"{source}: {kind} pictures of {height} x {width}, {spec.levels} levels ({counts}){given}", quiet=machine.quiet
    )
    numbers = sum(p.numel() for p in model.parameters())
    tell(f"{spec.name}: {numbers:,} parameters, on {model.device.type}", quiet=machine.quiet)


def _grids(model: Distribution, job: _Job, folder: Path, machine: MachineOptions) -> Callable[[dict[str, Any]], None]:
    """After each epoch a grid of samples in a folder, from the same random numbers."""
    context = None if job.label is None else torch.eye(job.classes)[torch.arange(SHOWN) % job.classes].to(model.device)

    def write_grid(record: dict[str, Any]) -> None:
        with isolated(model.device, machine.seed):
            x = draw(model, SHOWN, context)
        write_samples(folder / f"epoch-{record['epoch']:04d}.png", x, job.train.levels)

    return write_grid


def write_samples(path: str | os.PathLike[str], x: Tensor, levels: int, **options: Any) -> None:
    """Pictures of a model, (N, C, H, W) levels, as a grid or arrays."""
    write_images(path, x.clamp(0, levels - 1).to(torch.uint8).cpu().numpy(), levels, **options)


def _data_record(source: str, job: _Job) -> dict[str, Any]:
    counts = {name: len(p) for name in ("train", "valid", "test") if (p := getattr(job, name)) is not None}
    return {
        "name": os.path.basename(os.path.normpath(source)),
        "pictures": counts,
        "label": job.label,
        "classes": list(job.train.classes) if job.label == "label" else [],
    }


def _scores(job: _Job, model: Distribution, machine: MachineOptions) -> dict[str, Any] | None:
    """Bits per dimension of the held-out pictures, beside those of independent pixels; None when none were held out."""
    held = job.test if job.test is not None else job.valid
    if held is None:
        return None
    bits = bits_per_dimension(model, job.rows(held), job.context(held), seed=machine.seed)
    return {
        "rows": "test" if job.test is not None else "validation",
        **dataclasses.asdict(bits),
        "baselines": [
            {"name": "independent pixels", "value": independent_bits(job.train, held)},
            {"name": "uniform", "value": float(np.log2(job.train.levels))},
        ],
    }


def independent_bits(train: ImageSet, held: ImageSet) -> float:
    """Bits per dimension of pixels that are independent categoricals, with add-one counts of the training pictures."""
    flat, other = (p.images.reshape(len(p), -1) for p in (train, held))
    total = 0.0
    for i in range(flat.shape[1]):
        counts = np.bincount(flat[:, i], minlength=train.levels) + 1
        total -= float(np.log2(counts / counts.sum())[other[:, i]].mean())
    return total / flat.shape[1]
