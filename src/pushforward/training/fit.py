"""`fit`: train a model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..core import Distribution
from ..core.memory import saving
from ..objectives import default_objective, objective_name
from ..objectives.weighted_mean import require_row_weights
from ..output import only_writer
from ..terminal import write_error
from .checkpoint import load_checkpoint
from .config import TrainConfig
from .data import placement
from .data_loader import LoaderSplit, is_loader, prepare_loader
from .optimizer import OptimizerFactory
from .parallel.processes import joined, world_size
from .progress import TimeLeft, make_progress
from .random_state import isolated
from .result import FitResult
from .threads import using_threads
from .trainer import Callback, Trainer
from .validation_split import RowSplit, prepare


def fit(
    model: nn.Module,
    data: Any,
    *,
    context: Any = None,
    weights: Any = None,
    validation: Any = 0.1,
    config: TrainConfig | None = None,
    objective: nn.Module | None = None,
    optimizer: OptimizerFactory | None = None,
    callbacks: Sequence[Callback] = (),
    metrics: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **overrides: Any,
) -> FitResult:
    """Train a model on rows of data; afterwards it has the best weights and is in evaluation mode.

    With weights w_i the loss is the weighted mean over the training rows, sum_i w_i l_i / sum_i w_i. A batch of B rows has the
    loss

        1/B sum_b v_b l_b,    v_b = w_b / mean(w),

    whose mean over batches is the weighted mean. The validation score is weighted in the same way.

    With the same seed, a run gives the same weights, bit for bit on one machine with one thread; so does a run that was killed
    at any moment and resumed from its last checkpoint. torch's random state is the same before and after. When the loss or the
    gradient is not finite, training stops, the best weights are restored, and `FitResult.message` names the batch and
    the layer. This message, and the place where an interrupted run was saved, are also logged as warnings to
    "pushforward.training".

    Args:
        model: A `Distribution`, or any module if an `objective` is given.
        data: Events, (N, *event), an array or a tensor; converted to the model's type and moved to its device as a whole. For
            data that do not fit in memory, a `torch.utils.data.DataLoader` or another iterable of batches x, (x,) or
            (x, context) that starts again in each epoch. Then the iterable determines the batch size. The random numbers of
            torch that it draws are fixed by `seed` and the number of the epoch, so a run resumed within an epoch sees the same
            batches. With several processes, all must see the same batches; each computes its share of every batch.
        context: Contexts, (N, *context), for conditional models.
        weights: Weights of the rows, (N,), finite and >= 0; rows of weight 0 are left out. Batch normalisation, data-dependent
            starting values, and validation rows that are passed as rows use equal weights.
        validation: A fraction or a number of the rows, which are drawn at random by seed; or rows; or (rows, context); or None.
            If the data are an iterable of batches: a second iterable, rows, (rows, context), or None. Without validation, all
            epochs are run and the last weights are kept.
        config: Options of the run; the defaults suit tables.
        objective: A module whose `forward(batch)` returns the loss, where batch is (x,) or (x, context); with weights,
            `forward(batch, weights)`. By default the objective of the model's spec, which is `NegativeLogLikelihood(model)` for
            most models. Its own parameters are trained together with the model's.
        optimizer: A function from the list of parameters to a `torch.optim.Optimizer`; by default AdamW with `lr` and
            `weight_decay`. The schedule multiplies the learning rates set by the function; `lr` is not used.
        callbacks: Functions that are called after each epoch with its record (see `FitResult.history`); one that returns True
            ends training.
        metrics: Path of a JSONL file with one line for each epoch; replaced if it exists, continued on resume.
        checkpoint: Path of a file with the whole state of the run; by default the path of `resume`. On Ctrl-C or SIGTERM the
            step is finished and the state saved; a second signal stops the step at once. Only one run at a time can use it.
        resume: Path of a checkpoint to continue from, with the same model, data and config; only the length of training,
            `compile` and `threads` may differ.
        progress: Whether to show progress on stderr; the first line names the objective.
        **overrides: Fields of `config` to replace, such as `epochs=10`.

    Returns:
        The record of the run.

    Raises:
        DataError: The rows, the weights or the split cannot be used; the message names the row, column and batch of a number
            that is not finite.
        ContextError: A context is missing or unexpected.
        SpecError: An option is unknown or out of range, the objective takes no weights, or `optimizer` returns no optimizer.
        TrainingError: The loss was not finite before any epoch was finished (the starting weights are restored), no
            validation score was finite, the loss is not a scalar, or the checkpoint is of another run.
        FileError: A file cannot be read or written, or another run is using the same checkpoint.
    """
    config = (config or TrainConfig()).replace(**overrides)
    objective = default_objective(model) if objective is None else objective
    if weights is not None:
        require_row_weights(objective)
    split: RowSplit | LoaderSplit
    if is_loader(data):
        split = prepare_loader(model, data, context, validation, config, weights)
    else:
        split = prepare(model, data, context, validation, config.seed, weights)
    checkpoint = resume if checkpoint is None else checkpoint
    path = None if checkpoint is None else Path(checkpoint)
    device, _ = placement(model)
    with contextlib.ExitStack() as stack:
        ranks = stack.enter_context(joined(device, path))
        if path is not None:
            ranks.once(lambda: stack.enter_context(only_writer(path)))
        state = None if resume is None else ranks.once(lambda: load_checkpoint(resume))
        stack.enter_context(isolated(device, config.seed))
        trainer = Trainer(model, objective, split, config, path, ranks, optimizer)
        stack.callback(trainer.settle)
        stack.enter_context(using_threads(trainer.config.threads or 1))
        stack.enter_context(saving(trainer.state.plain, config.memory))
        trainer.start(state, resume)
        trainer.prepare_files(None if metrics is None else Path(metrics), stack)
        unit = " nats" if getattr(objective, "likelihood", False) else " (minus the loss)"
        if progress and ranks.main:
            write_error(f"minimising the {objective_name(objective)}; scores are minus that, so higher is better")
        options = trainer.config
        patience = (options.patience or 0) if trainer.held_out is not None else 0
        left = TimeLeft(options.epochs or 0, patience, options.max_seconds)
        done = trainer.state.position.epoch - 1
        shown = make_progress(options.epochs or 0, done, unit, shown=progress and ranks.main, left=left)
        result = trainer.run(callbacks, shown)
    spec = getattr(model, "spec", None)
    settles = spec is not None and spec.settles and world_size() == 1
    if settles and spec is not None and isinstance(model, Distribution) and isinstance(split, RowSplit):
        with isolated(device, config.seed):
            spec.settle(model, *split.train.take(split.train_index))
    return result
