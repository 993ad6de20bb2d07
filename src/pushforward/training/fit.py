"""`fit`: the way into training."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..core.memory import saving
from ..objectives import default_objective, objective_name
from ..output import only_writer
from ..terminal import write_error
from .checkpoint import load_checkpoint
from .config import TrainConfig
from .data import placement
from .parallel.processes import joined
from .progress import make_progress
from .random_state import isolated
from .result import FitResult
from .threads import using_threads
from .trainer import Callback, Trainer
from .validation_split import prepare


def fit(
    model: nn.Module,
    data: Any,
    *,
    context: Any = None,
    validation: Any = 0.1,
    config: TrainConfig | None = None,
    objective: nn.Module | None = None,
    callbacks: Sequence[Callback] = (),
    metrics: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **overrides: Any,
) -> FitResult:
    """Train a model on rows of data, and leave it with the best weights, in evaluation mode.

    Given the same seed, a run gives the same weights, bit for bit on one machine with one thread, and so does one that was
    killed at any moment and resumed from its last checkpoint. torch's random state is the same after as before. When the
    loss or the gradient is not finite, training stops, the best weights are put back, and `FitResult.message` names the
    batch and the layer; that sentence, and where an interrupted run was saved, also go to the logger
    "pushforward.training", as warnings.

    Args:
        model: a `Distribution`, or any module when there is an `objective`.
        data: (N, *event), an array or a tensor; cast to the model's type and moved to its device as a whole.
        context: (N, *context) for conditional models.
        validation: a fraction or a number of the rows, drawn by seed; or rows; or (rows, context); or None. Without
            validation all epochs are run and the last weights kept.
        config: how to train; the defaults suit tables.
        objective: a module whose `forward(batch)` is the loss, batch being (x,) or (x, context); by default that of the
            model's spec, which is `NegativeLogLikelihood(model)` for most. Its own parameters are trained with the model's.
        callbacks: called after each epoch with its record (see `FitResult.history`); one that returns True ends training.
        metrics: path of a JSONL file with one line an epoch; replaced when it exists, continued on resume.
        checkpoint: path of a file that holds the whole state of the run; by default that of `resume`. Ctrl-C finishes the
            step and saves it, and so does SIGTERM; a second signal does not wait for the step. One run at a time can have it.
        resume: path of a checkpoint to go on from, with the same model, data and config; only how long to train,
            `compile` and `threads` may differ.
        progress: whether to show progress on stderr; its first line says what is minimised.
        **overrides: fields of `config` to replace, such as `epochs=10`.

    Returns:
        The record of the run.

    Raises:
        DataError: the rows or their split cannot be used; a number that is not finite is named by row and column.
        ContextError: a context is missing or unexpected.
        SpecError: an option is unknown or out of range.
        TrainingError: the loss was not finite before any epoch was finished (the starting weights are put back), no
            validation score was finite, the loss is no scalar, or the checkpoint is of another run.
        FileError: a file cannot be read or written, or another run has the same checkpoint.
    """
    config = (config or TrainConfig()).replace(**overrides)
    split = prepare(model, data, context, validation, config.seed)
    objective = default_objective(model) if objective is None else objective
    checkpoint = resume if checkpoint is None else checkpoint
    path = None if checkpoint is None else Path(checkpoint)
    device, _ = placement(model)
    with contextlib.ExitStack() as stack:
        ranks = stack.enter_context(joined(device, path))
        if path is not None:
            ranks.once(lambda: stack.enter_context(only_writer(path)))
        state = None if resume is None else ranks.once(lambda: load_checkpoint(resume))
        stack.enter_context(isolated(device, config.seed))
        trainer = Trainer(model, objective, split, config, path, ranks)
        stack.callback(trainer.settle)
        stack.enter_context(using_threads(trainer.config.threads or 1))
        stack.enter_context(saving(trainer.plain, config.memory))
        if state is None:
            trainer.initialise()
        else:
            trainer.load(state, resume)
        trainer.prepare_files(None if metrics is None else Path(metrics), stack)
        unit = " nats" if getattr(objective, "likelihood", False) else " (minus the loss)"
        if progress and ranks.main:
            write_error(f"minimising the {objective_name(objective)}; scores are minus that, so higher is better")
        shown = make_progress(
            trainer.config.epochs or 0, trainer.position.epoch - 1, unit, shown=progress and ranks.main
        )
        return trainer.run(callbacks, shown)
