"""One training run: its state, its steps, and every way in which it can end.

Nothing in a step waits for the device: sums and flags stay tensors there and are read once an epoch (on a GPU every 50
steps; on the CPU, where reading costs nothing, every step). A step whose loss or gradient is not finite is never applied.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Distribution, initialise
from ..errors import FileError, TrainingError
from ..objectives import NegativeLogLikelihood
from .checkpoint import require_same_run, save_checkpoint
from .config import TrainConfig, batches_in, schedule_factor
from .data import Split
from .diagnose import diagnose
from .evaluate import first_unscored, mean_score
from .interrupt import Interrupt
from .metrics import MetricsFile
from .optimiser import make_optimiser, steps_between_checks
from .position import Position
from .progress import Progress
from .result import FitResult, Stopped
from .rng import random_state, set_random_state
from .weights import MovingAverage, Weights, bundle, restore, snapshot, tensors

Callback = Callable[[dict[str, Any]], "bool | None"]

logger = logging.getLogger("pushforward.training")

INITIAL_ROWS = 4096
"""Training rows that data-dependent starting values are measured on."""
EVALUATION_NUMBERS = 1_000_000
"""Numbers in the events of one chunk of validation rows, at most; a chunk is at least a batch and at most 4096 rows."""
ROWS_NAMED = 5
"""Rows named in a message."""


@dataclasses.dataclass(frozen=True)
class RecentStep:
    """A step whose flag has not been read yet.

    Args:
        number: steps done before it.
        batch: its number in the epoch, from 1.
        rows: of its batch.
        random: the random state before it.
        fine: whether its loss and gradient are finite, a tensor.
    """

    number: int
    batch: int
    rows: Tensor
    random: dict[str, Tensor]
    fine: Tensor


class Trainer:
    """One run of `fit`: the state of it, and the moves between its states.

    Args:
        model: to train.
        objective: the loss.
        split: the rows.
        config: not resolved.
        checkpoint: where to save, or None.
    """

    def __init__(
        self, model: nn.Module, objective: nn.Module, split: Split, config: TrainConfig, checkpoint: Path | None
    ) -> None:
        self.model, self.objective, self.split, self.checkpoint = model, objective, split, checkpoint
        self.given = config
        self.config = config.resolve(len(split.train_index))
        self.batch_size, self.epochs = self.config.batch_size or 1, self.config.epochs or 1
        self.batches = batches_in(len(split.train_index), self.batch_size)
        self.total = min(self.epochs * self.batches, self.config.max_steps or self.epochs * self.batches)
        self.device = split.train.x.device
        self.whole = bundle(model, objective)
        self.parameters = [p for p in self.whole.parameters() if p.requires_grad]
        if not self.parameters:
            raise TrainingError(f"expected a model with parameters to train, got {type(model).__name__} without any")
        self.optimiser, self.fused = make_optimiser(self.parameters, self.config)
        self.average = MovingAverage(self.whole, self.config.ema) if self.config.ema else None
        self.position = Position.start(self.device)
        self.best: Weights | None = None
        self.start: Weights = {}
        self.check_every = steps_between_checks(self.device) if self.fused else 1
        self.recent: list[RecentStep] = []
        self.bad = torch.zeros((), dtype=torch.bool, device=self.device)
        self.failure: str | None = None
        self.consistent = True
        self.metrics: MetricsFile | None = None
        self.interrupt = Interrupt()
        self.fingerprint = split.fingerprint() if checkpoint is not None else []
        self.began = self.saved = time.monotonic()

    def initialise(self) -> None:
        """Set data-dependent starting values."""
        if self.config.initialise and isinstance(self.model, Distribution):
            rows = self.split.order(self.config.seed, 1)[:INITIAL_ROWS]
            initialise(self.model, *self.split.train.take(rows))
            if self.average is not None:
                self.average = MovingAverage(self.whole, self.config.ema)
        self.start = snapshot(self.whole)

    def load(self, state: dict[str, Any], path: object) -> None:
        """Go to the state that a checkpoint holds.

        Raises:
            TrainingError: it is of another run.
        """
        require_same_run(state, path, self.given, tensors(self.whole), self.fingerprint)
        restore(self.whole, state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load(state["average"])
        self.best = None if state["best"] is None else {k: v.to(self.device) for k, v in state["best"].items()}
        self.position = Position.from_dict(state["position"], self.device)
        set_random_state(state["random"], self.device)
        self.start = snapshot(self.whole)

    def prepare_files(self, metrics: Path | None, stack: contextlib.ExitStack) -> None:
        """Write the first checkpoint and open the metrics file, so that a path that cannot be written fails now.

        Raises:
            FileError: naming the path.
        """
        if self.checkpoint is not None:
            save_checkpoint(self.checkpoint, self._state())
        if metrics is not None:
            self.metrics = MetricsFile(metrics, self.position.history)
            stack.callback(self.metrics.close)

    def run(self, callbacks: Sequence[Callback], progress: Progress) -> FitResult:
        """Train to the end, whatever the end is."""
        stopped: Stopped | None = None
        with self.interrupt, progress:
            try:
                while stopped is None:
                    stopped = self._over() or self._epoch(callbacks, progress)
            except KeyboardInterrupt:
                stopped = "interrupted"
            saved = stopped != "nonfinite" and self.consistent and self._save()
            if stopped == "limit" and self.position.batch:
                # Saved in the middle of an epoch, recorded as if it ended here.
                with contextlib.suppress(KeyboardInterrupt):
                    self._close_epoch(callbacks, progress)
        return self._finish(stopped, saved=saved)

    def settle(self) -> None:
        """Leave evaluation mode and no gradients behind, also after an error."""
        self.optimiser.zero_grad(set_to_none=True)
        self.whole.eval()

    def _over(self) -> Stopped | None:
        if self.config.patience and self.split.valid is not None and self.position.waited >= self.config.patience:
            return "patience"
        if self.position.epoch > self.epochs:
            return "converged"
        return self._cut_short()

    def _cut_short(self) -> Stopped | None:
        if self.interrupt.requested:
            return "interrupted"
        if self.config.max_steps is not None and self.position.step >= self.config.max_steps:
            return "limit"
        if self.config.max_seconds is not None and self._seconds() >= self.config.max_seconds:
            return "limit"
        return None

    def _seconds(self) -> float:
        return self.position.seconds + time.monotonic() - self.began

    def _epoch(self, callbacks: Sequence[Callback], progress: Progress) -> Stopped | None:
        """The rest of the epoch in progress, and its end."""
        position = self.position
        order = self.split.order(self.config.seed, position.epoch)
        self.whole.train()
        while position.batch < self.batches:
            self._step(order)
            last = position.batch == self.batches
            early = None if last else self._cut_short()
            due = self._save_due()
            if self.failure is None and (last or early or due or len(self.recent) >= self.check_every):
                self._check()
            if self.failure is not None:
                return "nonfinite"
            if due:
                self._save()
            if early:
                return early
        every = self.config.checkpoint_every
        ended = self._close_epoch(callbacks, progress)
        if every and len(position.history) % every == 0:
            self._save()
        return "callback" if ended else None

    def _step(self, order: Tensor) -> None:
        position = self.position
        start = position.batch * self.batch_size
        end = len(order) if position.batch + 1 == self.batches else start + self.batch_size
        rows = order[start:end]
        self.consistent = False
        before = random_state(self.device)
        number, batch = position.step, position.batch + 1
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.objective(self.split.train.take(rows))
        _require_loss(loss)
        loss.backward()
        norm = self._clip()
        loss = loss.detach()
        fine = loss.isfinite() & norm.isfinite()
        self.recent.append(RecentStep(number, batch, rows, before, fine))
        if self.check_every == 1:
            self._check()
            if self.failure is not None:
                return
        else:
            # The fused optimiser leaves out the update on the device when this is 1, and with it all later ones.
            self.bad = self.bad | ~fine
            self.optimiser.found_inf = self.bad.float()  # type: ignore[attr-defined]
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.optimiser.step()
        position.step += 1
        if self.average is not None:
            self.average.update(position.step)
        position.batch += 1
        position.rows += len(rows)
        position.running = position.running + loss * len(rows)
        position.gradient = torch.maximum(position.gradient, norm)
        self.consistent = True

    def _rate(self) -> float:
        return self.config.lr * schedule_factor(self.config, self.position.step, self.total, self.position.plateau)

    def _clip(self) -> Tensor:
        if self.config.clip:
            return nn.utils.clip_grad_norm_(self.parameters, self.config.clip).detach()
        return nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None]).detach()

    def _check(self) -> None:
        """Read the flags of the steps since the last check; on a bad one, find out why and set `failure`."""
        fine = torch.stack([step.fine for step in self.recent]).tolist() if self.recent else []
        if all(fine):
            self.recent.clear()
            return
        first = self.recent[fine.index(False)]
        self.position.step = first.number
        set_random_state(first.random, self.device)
        finding = diagnose(self.whole, self.objective, self.split.train.take(first.rows))
        rows = first.rows if finding.rows is None else first.rows[finding.rows]
        shown = ", ".join(map(str, rows[:ROWS_NAMED].tolist())) + (", ..." if len(rows) > ROWS_NAMED else "")
        self.failure = (
            f"the {finding.what} became non-finite at epoch {self.position.epoch}, step {first.batch} "
            f"(rows {shown} of the training data); {finding.origin}"
        )

    def _close_epoch(self, callbacks: Sequence[Callback], progress: Progress) -> bool:
        """Score the epoch, keep its weights if they are the best, record it; whether a callback wants to stop."""
        position, split = self.position, self.split
        train = -(position.running / position.rows).item()
        rate = self.optimiser.param_groups[0]["lr"]
        with self.average.applied() if self.average is not None else contextlib.nullcontext():
            validation = None
            if split.valid is not None:
                validation = mean_score(self.objective, split.valid, split.valid_index, self._chunk())
            score = train if validation is None else validation
            better = math.isfinite(score) and (position.score is None or score > position.score)
            kept = snapshot(self.whole) if better or validation is None else None
        self.consistent = False
        if kept is not None:
            self.best, position.best_epoch = kept, position.epoch
        if better:
            position.score, position.waited, position.stalled = score, 0, 0
        else:
            position.waited += 1
            position.stalled += 1
        if position.stalled >= (self.config.plateau_patience or 1):
            position.plateau *= self.config.plateau_factor
            position.stalled = 0
        record = {
            "epoch": position.epoch,
            "steps": position.step,
            "train": train,
            "validation": validation,
            "lr": rate,
            "gradient": position.gradient.item(),
            "seconds": self._seconds(),
            "best": kept is not None,
        }
        position.history.append(record)
        position.next_epoch()
        self.consistent = True
        if self.metrics is not None:
            self.metrics.write(record)
        progress.epoch(record, position.score)
        answers = [callback(dict(record)) for callback in callbacks]
        return any(answer is True for answer in answers)

    def _chunk(self) -> int:
        size = max(1, self.split.train.x[0].numel())
        return max(self.batch_size, min(4096, EVALUATION_NUMBERS // size))

    def _save_due(self) -> bool:
        every = self.config.checkpoint_seconds
        return self.checkpoint is not None and every is not None and time.monotonic() - self.saved >= every

    def _save(self) -> bool:
        """Save if there is a path; a failure is reported and training goes on, the file on disk being the old one."""
        if self.checkpoint is None:
            return False
        self.saved = time.monotonic()
        try:
            save_checkpoint(self.checkpoint, self._state())
        except FileError as error:
            logger.warning("%s; the checkpoint before it is still there", error)
            return False
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "weights": tensors(self.whole),
            "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.average,
            "best": self.best,
            "position": {**self.position.to_dict(), "seconds": self._seconds()},
            "random": random_state(self.device),
            "config": self.given.to_dict(),
            "data": self.fingerprint,
        }

    def _finish(self, stopped: Stopped, *, saved: bool) -> FitResult:
        """Put the best weights back and say how it ended.

        Raises:
            TrainingError: there are no good weights.
        """
        position = self.position
        if self.best is None and (stopped == "nonfinite" or (position.history and stopped != "interrupted")):
            restore(self.whole, self.start)
            raise TrainingError(
                f"{self.failure or self._no_score()}; there was no good epoch before it and the starting weights were put "
                "back; lower the learning rate, or look at these rows"
            )
        if self.best is not None:
            restore(self.whole, self.best)
        message = self.failure or ""
        if stopped == "interrupted":
            message = (
                f"training was interrupted in epoch {position.epoch}, after {position.batch} of {self.batches} steps"
            )
            if saved:
                message += f"; its state was saved, go on with resume={str(self.checkpoint)!r}"
            elif self.checkpoint is not None:
                message += f"; the last checkpoint is in {self.checkpoint}"
        if message:
            message += f"; the best weights of epoch {position.best_epoch} were kept" if self.best is not None else ""
            logger.warning("%s", message)
        return FitResult(
            best_epoch=position.best_epoch,
            best_validation=None if self.split.valid is None else position.score,
            epochs=len(position.history),
            steps=position.step,
            seconds=self._seconds(),
            history=position.history,
            train_rows=len(self.split.train_index),
            validation_rows=len(self.split.valid_index),
            stopped=stopped,
            message=message,
            seed=self.config.seed,
            config=self.config.to_dict(),
        )

    def _no_score(self) -> str:
        message = "the validation score was not finite in any epoch"
        if isinstance(self.objective, NegativeLogLikelihood) and self.split.valid is not None:
            row = first_unscored(self.model, self.split.valid, self.split.valid_index, self._chunk())
            where = "the data" if self.split.valid is self.split.train else "the validation data"
            message += "" if row is None else f" (row {row} of {where})"
        return message


def _require_loss(loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise TrainingError(f"expected the objective to return a scalar loss, got {got}; take the mean over the batch")
    if not loss.requires_grad:
        raise TrainingError("expected a loss that depends on the parameters, got one without a gradient")
