"""`pushforward fit`: from a table to a model file."""

from __future__ import annotations

import dataclasses
import datetime
import os
import platform
import typing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from .. import systems as _systems  # noqa: F401  (registers every system)
from ..core import Spec
from ..data import Schema, Table, TableModel, digest, infer_schema, read_table, table_model
from ..errors import DataError, FlowError
from ..serialize import save
from ..training import FitResult, TrainConfig
from ..training import fit as train
from ..training.distributed import LostProcess, leave, process_rank, world_size
from ..training.rng import isolated
from .display import finite, print_json, tell
from .files import require_writable
from .holdout import Holdout, Parts, fit_baselines, score_record
from .models import row_scores, start, system_name, without
from .options import MachineOptions, OutputOptions, SystemOptions, TableOptions, TrainOptions
from .problems import Interrupted, UsageError
from .summary import score_text, training_text
from .values import bounds, pairs, part, typed

CTRL_C_HINT = "go on with the same command and --resume"


def fit_table(
    path: str,
    output: OutputOptions,
    system: SystemOptions,
    columns: TableOptions,
    training: TrainOptions,
    machine: MachineOptions,
) -> int:
    """Read, split, train, save, score, save with the scores, and say how it went.

    The model is written as soon as it is trained, so that nothing after that can lose it. Of several processes, started by
    torchrun, all train together, and the first one does the rest.

    Raises:
        FlowError: see the package for the exit codes.
        Interrupted: Ctrl-C, after something was saved.
    """
    first = process_rank() == 0
    if not first:
        machine = dataclasses.replace(machine, quiet=True)
    config = TrainConfig(**dataclasses.asdict(training), seed=machine.seed, threads=machine.threads)
    arguments = system_arguments(system)
    checkpoint = _checked_paths(path, output) if first else _checkpoint(output)
    device = start(machine, shared=True)
    job = _prepare(path, columns, machine.seed)
    with isolated(torch.device("cpu"), machine.seed):
        model = table_model(job.schema, system.flow, **arguments).to(device)
    _announce(path, job, model, machine)
    if config.compile:
        tell("compiling first, which takes a while", quiet=machine.quiet)
    result = _train(job, model, config, output, checkpoint, machine)
    leave()
    record = _record(path, job, result, columns)
    if result.stopped == "interrupted":
        _save_interrupted(model, record, result, output, checkpoint)
    if not first:
        return 0
    save(output.out, model, spec=None, training=finite(record))
    if checkpoint.temporary:
        checkpoint.path.unlink(missing_ok=True)
    try:
        record["scores"] = _scores(job, model, output, machine)
        save(output.out, model, spec=None, training=finite(record))
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted while scoring; the trained model is in {output.out}, without a score") from None
    _conclude(model, record, output, machine)
    return 0


@dataclasses.dataclass(frozen=True)
class _Job:
    """A table that is ready to be learned."""

    table: Table
    schema: Schema
    rows: np.ndarray
    holdout: Holdout
    parts: Parts


@dataclasses.dataclass(frozen=True)
class _Checkpoint:
    """Where the state of the run goes; a temporary one is removed when the run is over."""

    path: Path
    temporary: bool


def system_arguments(options: SystemOptions) -> dict[str, Any]:
    """The system's arguments from --layers, --hidden and --set.

    Raises:
        UsageError: an argument is given twice, or is no NAME=VALUE.
    """
    texts = pairs(options.set, "--set", "layers=5")
    for name, value in (("layers", options.layers), ("hidden", options.hidden)):
        if value is None:
            continue
        if name in texts:
            raise UsageError(f"--{name} and --set {name}=... say the same; give one of them")
        texts[name] = str(value)
    known = Spec.registry.get(options.flow)
    return typed(texts, {} if known is None else typing.get_type_hints(known))


def _checkpoint(output: OutputOptions) -> _Checkpoint:
    default = f"{output.out}.checkpoint"
    chosen = output.checkpoint or output.resume or default
    return _Checkpoint(Path(chosen), temporary=output.checkpoint is None and chosen == default)


def _checked_paths(table: str, output: OutputOptions) -> _Checkpoint:
    if table == "-" and world_size() > 1:
        raise UsageError("expected a table in a file, got -: several processes cannot all read standard input")
    inputs = [table, output.resume]
    default = f"{output.out}.checkpoint"
    found = _checkpoint(output)
    chosen = str(found.path)
    require_writable(output.out, "--out", inputs)
    require_writable(output.metrics, "--metrics", [*inputs, output.out])
    require_writable(chosen, "--checkpoint", [table])
    if output.out == "-":
        raise UsageError("expected --out to be a file, got -: a model is not text")
    targets = [output.out, chosen, *([output.metrics] if output.metrics else [])]
    if len({os.path.realpath(target) for target in targets}) < len(targets):
        raise UsageError("--out, --metrics and --checkpoint are the same file; give different ones")
    if output.checkpoint is None and output.resume is None and os.path.exists(default):
        raise UsageError(
            f"{default} is left from an interrupted run; {CTRL_C_HINT} {default}, or remove it to start anew"
        )
    return found


def _prepare(path: str, options: TableOptions, seed: int) -> _Job:
    """Read the table, split its rows, find out what its columns are."""
    kinds = pairs(options.kind, "--kind", "age=integer")
    limits = bounds(options.bounds)
    shares = {option: part(getattr(options, option), f"--{option}") for option in ("test", "validation")}
    table = read_table(path, text=[name for name, kind in kinds.items() if kind == "categorical"])
    table = without(table, options.drop)
    if table.n_rows < 2:
        raise DataError(f"{path}: expected at least 2 rows to learn from, got {table.n_rows}")
    holdout = Holdout(table.n_rows, shares["test"], shares["validation"], seed)
    parts = holdout.parts()
    schema = infer_schema(table, kinds=kinds, bounds=limits, rows=parts.train)  # type: ignore[arg-type]
    rows = schema.encode(table)
    return _Job(table, schema, rows, dataclasses.replace(holdout, digest=digest(rows)), parts)


def _announce(path: str, job: _Job, model: TableModel, machine: MachineOptions) -> None:
    kinds = [column.kind for column in job.schema.columns]
    count = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    train, validation, test = (len(rows) for rows in job.parts)
    tell(
        f"{path}: {job.table.n_rows:,} rows ({train:,} to train, {validation:,} to validate, {test:,} to test), "
        f"{len(kinds)} columns ({', '.join(f'{n} {kind}' for kind, n in count.items())})",
        quiet=machine.quiet,
    )
    for sentence in _piles(job):
        tell(sentence, quiet=machine.quiet)
    numbers = sum(p.numel() for p in model.parameters())
    tell(f"{system_name(model)}: {numbers:,} parameters, on {model.device.type}", quiet=machine.quiet)


def _piles(job: _Job) -> list[str]:
    """A sentence for each continuous column in which one value comes so often that a density can pile up on it."""
    sentences = []
    for column, values in zip(job.schema.columns, job.rows.T, strict=True):
        if column.kind != "continuous":
            continue
        distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
        most = int(counts.argmax())
        if counts[most] >= max(10, 0.01 * len(values)):
            sentences.append(
                f"note: {column.name} is {distinct[most]:g} in {counts[most]:,} rows; a density piles up on repeats, "
                "so read the score with care"
            )
    return sentences


def _train(
    job: _Job,
    model: TableModel,
    config: TrainConfig,
    output: OutputOptions,
    checkpoint: _Checkpoint,
    machine: MachineOptions,
) -> FitResult:
    try:
        return train(
            model,
            job.rows[job.parts.fitted],
            validation=job.holdout.validation or None,
            config=config,
            metrics=output.metrics,
            checkpoint=checkpoint.path,
            resume=output.resume,
            progress=not machine.quiet,
        )
    except LostProcess:
        raise
    except FlowError:
        # There is nothing in it to go on from, unless it was given.
        if checkpoint.temporary and output.resume is None:
            checkpoint.path.unlink(missing_ok=True)
        raise


def _save_interrupted(
    model: TableModel, record: dict[str, Any], result: FitResult, output: OutputOptions, checkpoint: _Checkpoint
) -> typing.NoReturn:
    """Keep what there is, and say where.

    Raises:
        Interrupted: always.
    """
    kept = "no epoch was finished"
    if result.best_epoch and process_rank() == 0:
        save(output.out, model, spec=None, training=finite(record))
        kept = f"the best model so far, of epoch {result.best_epoch}, is in {output.out}"
    raise Interrupted(f"interrupted; {kept}; {CTRL_C_HINT} {checkpoint.path}")


def _record(path: str, job: _Job, result: FitResult, columns: TableOptions) -> dict[str, Any]:
    """What the model file says about its training."""
    return {
        **result.to_dict(),
        "data": {
            "name": "standard input" if path == "-" else os.path.basename(path),
            "rows": job.table.n_rows,
            "dropped": list(columns.drop),
        },
        "split": job.holdout.to_dict(),
        "versions": {
            "pushforward": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _scores(job: _Job, model: TableModel, output: OutputOptions, machine: MachineOptions) -> dict[str, Any] | None:
    """The held-out score and the baselines'; None when no rows were held out."""
    held, others = job.parts.held, job.parts.others
    if len(held) == 0:
        return None
    log_prob = row_scores(model, job.rows[held], machine.seed)
    baselines, note = [], "not asked for"
    if output.baselines:
        try:
            baselines, note = fit_baselines(job.schema, job.table, others, held, machine.seed), ""
        except DataError as error:
            note = str(error)
    return score_record(job.parts.held_name, model.exactness.symbol, log_prob, baselines, others, note)


def _conclude(model: TableModel, record: dict[str, Any], output: OutputOptions, machine: MachineOptions) -> None:
    if output.json:
        shown = {key: value for key, value in record.items() if key != "history"}
        spec = None if model.spec is None else model.spec.to_dict()
        print_json({"model": output.out, "system": system_name(model), "spec": spec, **shown})
    if machine.quiet:
        return
    if not output.json:
        print(
            f"\n{score_text(system_name(model), record['scores'])}" if record["scores"] else "\nno rows were held out"
        )
    tell(f"\ntraining: {training_text(record)}\nwrote {output.out}")
