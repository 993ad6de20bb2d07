"""Command `pushforward fit` for every kind of data: from a source to a model file, with checkpoints."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import signal
import typing
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from .. import __version__
from .. import systems as _systems  # noqa: F401  (registers every system)
from ..core import Distribution
from ..errors import FlowError
from ..output import only_writer, require_writable
from ..serialize import save
from ..signals import Interrupted, signal_of
from ..training import FitResult, TrainConfig, measure_batch_norm
from ..training import fit as train
from ..training.data_loader import is_loader
from ..training.parallel.processes import LostProcess, leave, process_rank, world_size
from ..training.random_state import isolated
from .console import Terminal, finite, training_text
from .options import OutputOptions, UsageError
from .task import FitOptions, Task, TrainingRows, start, system_name

CTRL_C_HINT = "go on with the same command and --resume"


def fit(kind: type[Task], source: str, options: FitOptions) -> int:
    """Read and split the data, train and save a model, score it, save it with its scores, and print a summary.

    The model is saved as soon as it is trained, so that it cannot be lost later. Several processes that torchrun has started
    train together, and the first process does the rest.

    Raises:
        Interrupted: The user pressed Ctrl-C or the process received SIGTERM; the state was saved before.
    """
    first = process_rank() == 0
    terminal = Terminal(quiet=options.machine.quiet or not first, json=options.output.json)
    with reserved(source, options.output):
        task = kind(source, options, terminal)
        device = start(options.machine, shared=True)
        task.read()
        task.split()
        spec = task.spec()
        with isolated(torch.device("cpu"), task.seed):
            model = task.model(spec).to(device)
        for line in task.describe():
            terminal.tell(line)
        numbers = sum(p.numel() for p in model.parameters())
        out = options.output.model
        terminal.tell(f"{system_name(model)}: {numbers:,} parameters, on {device.type}; the model goes to {out}")
        if task.config.compile:
            terminal.tell("compiling the model first, which takes some time")
        result = train_model(model, task.rows(model), task.config, options)
        leave()
        record = {**result.to_dict(), "data": task.record(), "split": asdict(task.holdout), **origin()}
        if result.stopped == "interrupted":
            save_interrupted(model, record, result, options.output)
        if first:
            save(out, model, training=finite(record))
            model, more = task.finish(model, result)
            record |= more
            keep(model, record, options.output, lambda: task.results(model))
            conclude(task, model, record)
    return 0


@contextlib.contextmanager
def reserved(source: str, output: OutputOptions) -> Iterator[None]:
    """Check all files that the run will write, and lock them against other runs inside the context.

    If a run has several processes, the first process locks the files.

    Raises:
        UsageError: Two files are the same, a file is also an input, or a checkpoint is left from an interrupted run.
        FileError: A file cannot be written, or another run is writing it.
    """
    if process_rank() > 0:
        yield
        return
    _require_paths(source, output)
    with contextlib.ExitStack() as stack:
        for path in filter(None, (output.model, output.metrics)):
            stack.enter_context(only_writer(path))
        with only_writer(output.state):
            # Training locks this file itself later. This test refuses it before any work if another run has locked it.
            pass
        if output.checkpoint is None and output.resume is None and output.state.exists():
            raise UsageError(
                f"{output.state} is left from an interrupted run; {CTRL_C_HINT} {output.state}, or remove it to start anew"
            )
        yield


def _require_paths(source: str, output: OutputOptions) -> None:
    if source == "-" and world_size() > 1:
        raise UsageError("expected a table in a file, got -: several processes cannot all read standard input")
    inputs = [source, output.resume]
    require_writable(output.model, "--out", inputs)
    require_writable(output.metrics, "--metrics", [*inputs, output.model])
    require_writable(str(output.state), "--checkpoint", [source])
    if output.model == "-":
        raise UsageError("expected --out to be a file, got -: a model is not text")
    targets = [output.model, str(output.state), *([output.metrics] if output.metrics else [])]
    if len({os.path.realpath(target) for target in targets}) < len(targets):
        raise UsageError("--out, --metrics and --checkpoint are the same file; give different ones")


def train_model(model: Distribution, data: TrainingRows, config: TrainConfig, options: FitOptions) -> FitResult:
    """Train with the files of the options; after a failure, a temporary checkpoint is removed.

    Raises:
        FlowError: The same errors as in `pushforward.fit`.
    """
    output = options.output
    try:
        result = train(
            model,
            data.rows,
            context=data.context,
            validation=data.validation,
            config=config,
            objective=data.objective,
            callbacks=data.callbacks,
            metrics=output.metrics,
            checkpoint=output.state,
            resume=output.resume,
            progress=not options.machine.quiet and process_rank() == 0,
        )
        if world_size() == 1 and result.history and not is_loader(data.rows):
            measure_batch_norm(model, data.rows, data.context)
        return result
    except LostProcess:
        raise
    except FlowError:
        # A run that failed cannot be continued from its temporary checkpoint. A checkpoint that the user gave is kept.
        if output.state_is_temporary and output.resume is None:
            output.state.unlink(missing_ok=True)
        raise


def save_interrupted(
    model: Distribution, record: dict[str, Any], result: FitResult, output: OutputOptions
) -> typing.NoReturn:
    """Save the best model so far, and raise an error with the paths of the model and of the checkpoint.

    Raises:
        Interrupted: In every case.
    """
    kept = "no epoch was finished"
    if result.best_epoch and process_rank() == 0:
        save(output.model, model, training=finite(record))
        kept = f"the best model so far, of epoch {result.best_epoch}, is in {output.model}"
    number = result.signal or signal.SIGINT
    raise Interrupted(f"interrupted; {kept}; {CTRL_C_HINT} {output.state}", number)


def keep(
    model: Distribution,
    record: dict[str, Any],
    output: OutputOptions,
    results: Callable[[], dict[str, Any]],
) -> None:
    """Save a trained model at once, so that it cannot be lost, and save it again with its scores.

    Args:
        model: Trained model.
        record: Record of the run, to which the scores are added.
        output: Options for the files.
        results: Function that computes the scores.

    Raises:
        Interrupted: Ctrl-C or SIGTERM while the scores were computed.
        FlowError: The file cannot be written, or the scores cannot be computed.
    """
    save(output.model, model, training=finite(record))
    if output.state_is_temporary:
        output.state.unlink(missing_ok=True)
    try:
        record |= results()
        save(output.model, model, training=finite(record))
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted while scoring; the trained model is in {output.model}, without a score", signal_of(error)
        ) from None


def origin() -> dict[str, Any]:
    """Return the versions of the libraries and the time, for the model file."""
    return {
        "versions": {
            "pushforward": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def conclude(task: Task, model: Distribution, record: dict[str, Any]) -> None:
    """Print the scores and a summary of the training."""
    out = task.options.output.model
    scores = record["scores"]
    text = task.score_text(model, scores) if scores else f"no {task.noun} were held out"
    shown = {key: value for key, value in record.items() if key not in ("history", "quantiles")}
    spec = None if model.spec is None else model.spec.to_dict()
    task.terminal.conclude(f"\n{text}", {"model": out, "system": system_name(model), "spec": spec, **shown})
    if record.get("found"):
        task.terminal.tell("\nfound\n" + "\n".join(f"  {line}" for line in record["found"]))
    task.terminal.tell(f"\ntraining: {training_text(record)}\nwrote {out}")
