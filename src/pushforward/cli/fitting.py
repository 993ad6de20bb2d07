"""`pushforward fit`: from a table to a model file."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import torch

from .. import systems as _systems  # noqa: F401  (registers every system)
from ..errors import DataError
from ..evaluation import check_solver
from ..systems.picture_spec import PictureSpec
from ..systems.spec import Spec
from ..tables import Schema, Table, TableModel, digest, infer_schema, models_labels, read_table, table_model
from ..terminal import write_output
from ..training import FitResult, TrainConfig
from ..training.parallel.processes import leave, process_rank
from ..training.random_state import isolated
from .display import print_json, tell
from .holdout import Holdout, Parts, fit_baselines, score_record
from .models import row_scores, start, system_name, without
from .options import MachineOptions, OutputOptions, ReadOptions, SystemOptions, TableOptions, TrainOptions
from .problems import UsageError
from .runs import Checkpoint, keep, origin, reserved, save_interrupted, system_arguments, train_model
from .summary import score_text, training_text
from .values import bounds, pairs, part

TABLE_FLOW = "nsf"
"""System of a table when none is named."""


def fit_table(
    path: str,
    output: OutputOptions,
    system: SystemOptions,
    columns: TableOptions,
    reading: ReadOptions,
    training: TrainOptions,
    machine: MachineOptions,
) -> int:
    """Read, split, train, save, score, save with the scores, and say how it went.

    The model is written as soon as it is trained, so that nothing after that can lose it. Of several processes, started by
    torchrun, all train together, and the first one does the rest.

    Raises:
        FlowError: see the package for the exit codes.
        Interrupted: Ctrl-C or SIGTERM, after something was saved.
    """
    with reserved(path, output) as checkpoint:
        return _fit_table(path, output, checkpoint, system, columns, reading, training, machine)


def _fit_table(
    path: str,
    output: OutputOptions,
    checkpoint: Checkpoint,
    system: SystemOptions,
    columns: TableOptions,
    reading: ReadOptions,
    training: TrainOptions,
    machine: MachineOptions,
) -> int:
    first = process_rank() == 0
    if not first:
        machine = dataclasses.replace(machine, quiet=True)
    config = TrainConfig(**dataclasses.asdict(training), seed=machine.seed, threads=machine.threads)
    arguments = system_arguments(system, table_system(system.flow))
    device = start(machine, shared=True)
    name = table_system(system.flow)
    job = _prepare(path, columns, reading, machine.seed, labels=models_labels(name))
    with isolated(torch.device("cpu"), machine.seed):
        model = table_model(job.schema, name, labels=system.labels, **arguments).to(device)
    _announce(path, output.model, job, model, machine)
    if config.compile:
        tell("compiling first, which takes a while", quiet=machine.quiet)
    result = train_model(
        model,
        job.rows[job.parts.fitted],
        output,
        checkpoint,
        machine,
        validation=job.holdout.validation or None,
        config=config,
    )
    leave()
    record = _record(path, job, result, columns)
    if result.stopped == "interrupted":
        save_interrupted(model, None, record, result, output, checkpoint)
    if not first:
        return 0
    keep(model, None, record, output, checkpoint, lambda: _scores(job, model, output, machine))
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


def _prepare(path: str, options: TableOptions, reading: ReadOptions, seed: int, *, labels: bool) -> _Job:
    """Read the table, split its rows, find out what its columns are; whole numbers are labels where a system wants those."""
    kinds = pairs(options.kind, "--kind", "age=integer")
    limits = bounds(options.bounds)
    shares = {option: part(getattr(options, option), f"--{option}") for option in ("test", "validation")}
    text = [name for name, kind in kinds.items() if kind == "categorical"]
    table = read_table(path, text=text, **dataclasses.asdict(reading))
    table = without(table, options.drop)
    if table.n_rows < 2:
        raise DataError(f"{path}: expected at least 2 rows to learn from, got {table.n_rows}")
    holdout = Holdout(table.n_rows, shares["test"], shares["validation"], seed)
    parts = holdout.parts()
    schema = infer_schema(table, kinds=kinds, bounds=limits, rows=parts.train)  # type: ignore[arg-type]
    if labels:
        kinds = {c.name: "categorical" for c in schema.columns if c.kind == "integer" and c.name not in limits} | kinds
        schema = infer_schema(table, kinds=kinds, bounds=limits, rows=parts.train)  # type: ignore[arg-type]
    rows = schema.encode(table)
    return _Job(table, schema, rows, dataclasses.replace(holdout, digest=digest(rows)), parts)


def table_system(flow: str | None) -> str:
    """Name of the system for a table.

    Raises:
        UsageError: it is one of pictures.
    """
    known = Spec.registry.get(flow or TABLE_FLOW)
    if known is not None and issubclass(known, PictureSpec):
        raise UsageError(
            f"{flow} models pictures, not tables; give a folder of pictures, an array of them or the name of a data set"
        )
    return flow or TABLE_FLOW


def _announce(path: str, out: str, job: _Job, model: TableModel, machine: MachineOptions) -> None:
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
    tell(
        f"{system_name(model)}: {numbers:,} parameters, on {model.device.type}; the model goes to {out}",
        quiet=machine.quiet,
    )


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
        **origin(),
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
    solver = check_solver(model, job.rows[held])
    return score_record(job.parts.held_name, model.exactness.symbol, log_prob, baselines, others, note, solver)


def _conclude(model: TableModel, record: dict[str, Any], output: OutputOptions, machine: MachineOptions) -> None:
    if output.json:
        shown = {key: value for key, value in record.items() if key != "history"}
        spec = None if model.spec is None else model.spec.to_dict()
        print_json({"model": output.model, "system": system_name(model), "spec": spec, **shown})
    if machine.quiet:
        return
    if not output.json:
        write_output(
            f"\n{score_text(system_name(model), record['scores'])}" if record["scores"] else "\nno rows were held out"
        )
    tell(f"\ntraining: {training_text(record)}\nwrote {output.model}")
