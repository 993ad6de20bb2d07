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
from ..objectives.weighted_mean import require_row_weights
from ..output import only_writer
from ..terminal import write_error
from .checkpoint import load_checkpoint
from .config import TrainConfig
from .data import placement
from .data_loader import LoaderSplit, is_loader, prepare_loader
from .optimizer import OptimizerFactory
from .parallel.processes import joined
from .progress import make_progress
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
    """Train a model on rows of data, and leave it with the best weights, in evaluation mode.

    With weights w_i the loss is the weighted mean over the training rows, sum_i w_i l_i / sum_i w_i. A batch of B rows has the
    loss

        1/B sum_b v_b l_b,    v_b = w_b / mean(w),

    whose mean over batches is the weighted mean. The validation rows are weighted likewise.

    Given the same seed, a run gives the same weights, bit for bit on one machine with one thread, and so does one that was
    killed at any moment and resumed from its last checkpoint. torch's random state is the same after as before. When the
    loss or the gradient is not finite, training stops, the best weights are put back, and `FitResult.message` names the
    batch and the layer; that sentence, and where an interrupted run was saved, also go to the logger
    "pushforward.training", as warnings.

    Args:
        model: A `Distribution`, or any module when there is an `objective`.
        data: (N, *event), an array or a tensor; cast to the model's type and moved to its device as a whole. Or, for data that
            do not fit in memory, a `torch.utils.data.DataLoader` or another iterable of batches x, (x,) or (x, context) that
            begins anew in each epoch. Then the iterable sets the size of a batch. The random numbers of torch that it draws
            follow from `seed` and the number of the epoch, so that a run resumed within an epoch finds the same batches.
            Several processes must find the same batches too; each takes its share.
        context: (N, *context) for conditional models.
        weights: (N,) finite weights >= 0 of the rows; rows of weight 0 are left out. Batch normalisation, data-dependent
            starting values, and validation rows that are given as rows, have equal weights.
        validation: A fraction or a number of the rows, drawn by seed; or rows; or (rows, context); or None. Where the data are
            an iterable of batches: a second iterable, rows, (rows, context), or None. Without validation all epochs are run and
            the last weights kept.
        config: Options of the run; the defaults suit tables.
        objective: A module whose `forward(batch)` is the loss, batch being (x,) or (x, context), and with weights
            `forward(batch, weights)`; by default that of the model's spec, which is `NegativeLogLikelihood(model)` for most.
            Its own parameters are trained with the model's.
        optimizer: A function from the list of parameters to a `torch.optim.Optimizer`; by default AdamW with `lr` and
            `weight_decay`. The schedule multiplies the learning rates that it sets; `lr` is not used.
        callbacks: Functions that are called after each epoch with its record (see `FitResult.history`); one that returns True
            ends training.
        metrics: Path of a JSONL file with one line an epoch; replaced when it exists, continued on resume.
        checkpoint: Path of a file that holds the whole state of the run; by default that of `resume`. Ctrl-C finishes the
            step and saves it, and so does SIGTERM; a second signal does not wait for the step. One run at a time can have it.
        resume: Path of a checkpoint to go on from, with the same model, data and config; only how long to train,
            `compile` and `threads` may differ.
        progress: Whether to show progress on stderr; its first line says what is minimised.
        **overrides: Fields of `config` to replace, such as `epochs=10`.

    Returns:
        The record of the run.

    Raises:
        DataError: The rows, the weights or the split cannot be used; a number that is not finite is named by row and column,
            and by the number of its batch.
        ContextError: A context is missing or unexpected.
        SpecError: An option is unknown or out of range, the objective takes no weights, or `optimizer` makes no optimizer.
        TrainingError: The loss was not finite before any epoch was finished (the starting weights are put back), no
            validation score was finite, the loss is no scalar, or the checkpoint is of another run.
        FileError: A file cannot be read or written, or another run has the same checkpoint.
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
        shown = make_progress(
            trainer.config.epochs or 0, trainer.state.position.epoch - 1, unit, shown=progress and ranks.main
        )
        return trainer.run(callbacks, shown)
