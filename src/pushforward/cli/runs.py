"""What the training runs of tables and of pictures share: arguments, checkpoints, interruptions, where a model comes from."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import platform
import signal
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..core import Distribution
from ..errors import FlowError
from ..output import only_writer
from ..serialize import save
from ..signals import signal_of
from ..systems.spec import Spec
from ..training import FitResult
from ..training import fit as train
from ..training.parallel.processes import LostProcess, process_rank, world_size
from .display import finite
from .files import checkpoint_of, require_writable
from .options import MachineOptions, OutputOptions, SystemOptions
from .problems import Interrupted, UsageError
from .values import pairs, typed

CTRL_C_HINT = "go on with the same command and --resume"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where the state of the run goes; a temporary one is removed when the run is over."""

    path: Path
    temporary: bool


def system_arguments(options: SystemOptions, name: str) -> dict[str, Any]:
    """The arguments of a system: its preset's, then those of --layers, --hidden and --set.

    Raises:
        UsageError: an argument is given twice, or is no NAME=VALUE.
        SpecError: there is no such preset.
    """
    texts = pairs(options.set, "--set", "layers=5")
    for field, value in (("layers", options.layers), ("hidden", options.hidden)):
        if value is None:
            continue
        if field in texts:
            raise UsageError(f"--{field} and --set {field}=... say the same; give one of them")
        texts[field] = str(value)
    known = Spec.registry.get(name)
    if known is None:
        return typed(texts, {})
    preset = {} if options.preset is None else known.preset_arguments(options.preset)
    return {**preset, **typed(texts, typing.get_type_hints(known))}


def find_checkpoint(output: OutputOptions) -> Checkpoint:
    """Where the options say that the state goes."""
    default = checkpoint_of(output.model)
    chosen = output.checkpoint or output.resume or default
    return Checkpoint(Path(chosen), temporary=output.checkpoint is None and chosen == default)


@contextlib.contextmanager
def reserved(source: str, output: OutputOptions) -> Iterator[Checkpoint]:
    """Give the place of the checkpoint, after a look at all files that the run will write, which no other run can write then.

    Of several processes of one run, the first one has the files.

    Raises:
        UsageError: two are the same, or one is an input, or a checkpoint is left from an interrupted run.
        FileError: one cannot be written, or another run is writing it.
    """
    found = find_checkpoint(output)
    if process_rank() > 0:
        yield found
        return
    _require_paths(source, output, str(found.path))
    with contextlib.ExitStack() as stack:
        for path in filter(None, (output.model, output.metrics)):
            stack.enter_context(only_writer(path))
        with only_writer(found.path):
            # Training takes it for itself; a run that has it now is refused before any work.
            pass
        if output.checkpoint is None and output.resume is None and found.path.exists():
            raise UsageError(
                f"{found.path} is left from an interrupted run; {CTRL_C_HINT} {found.path}, or remove it to start anew"
            )
        yield found


def _require_paths(source: str, output: OutputOptions, chosen: str) -> None:
    """Refuse files that cannot be written, are inputs, or are the same.

    Raises:
        UsageError: two are the same, or one is an input.
        FileError: one cannot be written.
    """
    if source == "-" and world_size() > 1:
        raise UsageError("expected a table in a file, got -: several processes cannot all read standard input")
    inputs = [source, output.resume]
    require_writable(output.model, "--out", inputs)
    require_writable(output.metrics, "--metrics", [*inputs, output.model])
    require_writable(chosen, "--checkpoint", [source])
    if output.model == "-":
        raise UsageError("expected --out to be a file, got -: a model is not text")
    targets = [output.model, chosen, *([output.metrics] if output.metrics else [])]
    if len({os.path.realpath(target) for target in targets}) < len(targets):
        raise UsageError("--out, --metrics and --checkpoint are the same file; give different ones")


def train_model(
    model: Distribution,
    rows: Any,
    output: OutputOptions,
    checkpoint: Checkpoint,
    machine: MachineOptions,
    **options: Any,
) -> FitResult:
    """`fit` with the files that the options name; a checkpoint that nothing can go on from is removed.

    Raises:
        FlowError: as `fit`.
    """
    try:
        return train(
            model,
            rows,
            metrics=output.metrics,
            checkpoint=checkpoint.path,
            resume=output.resume,
            progress=not machine.quiet,
            **options,
        )
    except LostProcess:
        raise
    except FlowError:
        # There is nothing in it to go on from, unless it was given.
        if checkpoint.temporary and output.resume is None:
            checkpoint.path.unlink(missing_ok=True)
        raise


def save_interrupted(
    model: Distribution,
    spec: Spec | None,
    record: dict[str, Any],
    result: FitResult,
    output: OutputOptions,
    checkpoint: Checkpoint,
) -> typing.NoReturn:
    """Keep what there is, and say where.

    Raises:
        Interrupted: always.
    """
    kept = "no epoch was finished"
    if result.best_epoch and process_rank() == 0:
        save(output.model, model, spec=spec, training=finite(record))
        kept = f"the best model so far, of epoch {result.best_epoch}, is in {output.model}"
    number = result.signal or signal.SIGINT
    raise Interrupted(f"interrupted; {kept}; {CTRL_C_HINT} {checkpoint.path}", number)


def keep(
    model: Distribution,
    spec: Spec | None,
    record: dict[str, Any],
    output: OutputOptions,
    checkpoint: Checkpoint,
    score: Callable[[], dict[str, Any] | None],
) -> None:
    """Write a trained model at once, so that nothing after that can lose it, and again with its scores, added to the record.

    Raises:
        Interrupted: Ctrl-C or SIGTERM while scoring.
        FlowError: the file cannot be written, or the scores cannot be had.
    """
    save(output.model, model, spec=spec, training=finite(record))
    if checkpoint.temporary:
        checkpoint.path.unlink(missing_ok=True)
    try:
        record["scores"] = score()
        save(output.model, model, spec=spec, training=finite(record))
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted while scoring; the trained model is in {output.model}, without a score", signal_of(error)
        ) from None


def origin() -> dict[str, Any]:
    """With what a model was made, and when, for its file."""
    return {
        "versions": {
            "pushforward": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
