"""A training run: its epochs and steps, and every way in which it can end.

Sums and flags of the steps stay on the device and are read once in each epoch (on a GPU every 50 steps; on the CPU, where
reading costs nothing, every step). A step whose loss or gradient is not finite is never applied.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core import Distribution
from ..errors import SolverError, TrainingError
from ..objectives import NegativeLogLikelihood, objective_name
from ..signals import signal_of
from .batches import Batch
from .checkpoint import CheckpointWriter, save_checkpoint
from .config import TrainConfig
from .data_loader import LoaderSplit
from .early_stopping import count_epoch, is_better, out_of_patience
from .evaluate import first_unscored, mean_score
from .interrupt import Interrupt
from .learning_rate import schedule_factor
from .metrics import MetricsFile
from .model_weights import snapshot
from .nonfinite import Watch, explain, steps_between_checks
from .optimizer import OptimizerFactory
from .parallel.processes import ProcessRanks
from .progress import Progress
from .result import FitResult, Stopped
from .run_state import RunState
from .validation_split import RowSplit

Callback = Callable[[dict[str, Any]], "bool | None"]

logger = logging.getLogger("pushforward.training")


class Trainer:
    """A run of `fit`: its epochs, its steps, its files and its end.

    Args:
        model: The model to train.
        objective: The loss.
        split: The training and validation rows.
        config: Options of the run, not resolved.
        checkpoint: Path of the checkpoints; None for no checkpoints.
        ranks: Processes that share the work; by default only this one.
        optimizer: Function that makes the optimizer from the parameters; AdamW by default.
    """

    watch: Watch

    def __init__(
        self,
        model: nn.Module,
        objective: nn.Module,
        split: RowSplit | LoaderSplit,
        config: TrainConfig,
        checkpoint: Path | None,
        ranks: ProcessRanks | None = None,
        optimizer: OptimizerFactory | None = None,
    ) -> None:
        self.model, self.objective = model, objective
        self.ranks = ranks or ProcessRanks()
        self.several = self.ranks.several
        known = checkpoint is not None or self.several
        self.state = RunState(model, objective, split, config, self.ranks, optimizer, fingerprint=known)
        self.held_out = split.held_out()
        self.failure: str | None = None
        self.consistent = True
        self.metrics: MetricsFile | None = None
        self.interrupt = Interrupt(patient=self.several)
        self.signal: int | None = None
        self.writer = None if checkpoint is None else CheckpointWriter(checkpoint, config.checkpoint_seconds)
        self.ranks.require_same((self.state.fingerprint, config, split.sample() if self.several else None))

    @property
    def config(self) -> TrainConfig:
        """Options of the run, resolved."""
        return self.state.config

    def start(self, checkpoint: dict[str, Any] | None = None, path: object = None) -> None:
        """Set the state from a checkpoint, or that of a new run.

        Args:
            checkpoint: Content of the checkpoint; None for a new run.
            path: Path of the checkpoint, for messages.

        Raises:
            TrainingError: The checkpoint is of another run.
            SpecError: The model cannot be trained with these options.
        """
        if checkpoint is None:
            self.state.initialise()
        else:
            self.state.load(checkpoint, path)
        self.searching = bool(getattr(self.objective, "searching", False))
        every = steps_between_checks(self.state.device) if self.state.stepper.fused else 1
        self.watch = Watch(self.state.device, every)

    def prepare_files(self, metrics: Path | None, stack: contextlib.ExitStack) -> None:
        """Write the first checkpoint and open the metrics file, to report a path that cannot be written before training.

        Only the first process has files.

        Raises:
            FileError: A file cannot be written; the message names its path.
        """
        state = None if self.writer is None else self.state.to_dict()

        def write() -> None:
            if self.writer is not None and state is not None:
                save_checkpoint(self.writer.path, state)
            if metrics is not None:
                self.metrics = MetricsFile(metrics, self.state.position.history)
                stack.callback(self.metrics.close)

        self.ranks.once(write)

    def run(self, callbacks: Sequence[Callback], progress: Progress) -> FitResult:
        """Train until the run ends, and return its record."""
        stopped: Stopped | None = None
        # With several processes, Ctrl-C only sets a flag from here on: if one process stopped alone, the others would
        # wait for it.
        with self.interrupt if self.several else contextlib.nullcontext():
            try:
                self._compile()
            except KeyboardInterrupt as error:
                stopped, self.signal = "interrupted", signal_of(error)
            if self.several:
                self.state.stepper.wrap(next(self.state.source.epoch(1)))
        with self.interrupt, progress:
            try:
                while stopped is None:
                    stopped = self._over() or self._epoch(callbacks, progress)
            except SolverError as error:
                # Handled like a loss that is not finite: the step has no loss.
                self.failure, stopped = self._unsolved(error), "nonfinite"
            except KeyboardInterrupt as error:
                if self.several:
                    raise
                stopped, self.signal = "interrupted", signal_of(error)
            saved = stopped != "nonfinite" and self.consistent and self._save()
            if stopped == "limit" and self.state.position.batch:
                # The checkpoint is from the middle of the epoch; the record is written as if the epoch ended here.
                with contextlib.suppress(KeyboardInterrupt):
                    self._close_epoch(callbacks, progress)
        return self._finish(stopped, saved=saved)

    def settle(self) -> None:
        """Set evaluation mode and remove gradients, also after an error."""
        plain = self.state.plain
        plain.to(self.state.device)
        plain.zero_grad(set_to_none=True)
        plain.eval()

    def _compile(self) -> None:
        """Compile the objective if the options ask for it and a step is left; record in the options whether it succeeded."""
        if self.config.compile and self._over() is None:
            compiled = self.state.stepper.compile(next(self.state.source.epoch(1)))
            (failed,) = self.ranks.agree(not compiled, now=True)
            self.state.config = self.config.replace(compile=not failed)

    def _over(self) -> Stopped | None:
        if self.held_out is not None and out_of_patience(self.state.position, self.config):
            return "patience"
        if self.state.position.epoch > (self.config.epochs or 1):
            return "converged"
        return self._cut_short(now=True)[0]

    def _cut_short(self, *, now: bool = False) -> tuple[Stopped | None, bool]:
        """Return the reason to stop within the epoch or None, and whether to save; all processes decide together."""
        interrupted = self.interrupt.requested
        late = self.config.max_seconds is not None and self.state.seconds() >= self.config.max_seconds
        due = self.writer is not None and self.writer.due()
        if self.several:
            interrupted, late, due = self.ranks.agree(interrupted or self.ranks.asked_to_end, late, due, now=now)
        if interrupted:
            return "interrupted", due
        done = self.config.max_steps is not None and self.state.position.step >= self.config.max_steps
        return "limit" if late or done else None, due

    def _epoch(self, callbacks: Sequence[Callback], progress: Progress) -> Stopped | None:
        """Run the rest of the current epoch and its end; return the reason to stop, if there is one."""
        position = self.state.position
        with self.state.stepper.running():
            for batch in self.state.source.epoch(position.epoch, position.batch):
                self._step(batch)
                early, due = self._cut_short()
                if self._failed(at_once=bool(early) or due or batch.last):
                    return "nonfinite"
                if due:
                    self._save()
                if early and not batch.last:
                    return early
        self.state.count_steps(position.batch, position.rows)
        every = self.config.checkpoint_every
        ended = self._close_epoch(callbacks, progress)
        if every and len(position.history) % every == 0:
            self._save()
        return "callback" if ended else None

    def _step(self, batch: Batch) -> None:
        state, position = self.state, self.state.position
        self.consistent = False
        self.watch.before(position.step, batch)
        loss, norm = state.stepper.gradient(batch)
        if not self.watch.after(loss, norm):
            return
        factor = schedule_factor(state.config, position.step, state.total, position.plateau)
        position.step += 1
        state.stepper.update(position.step, factor, self.watch.skip)
        position.batch += 1
        position.rows += len(batch)
        position.running.add_(loss, alpha=len(batch))
        torch.maximum(position.gradient, norm, out=position.gradient)
        self.consistent = True

    def _failed(self, *, at_once: bool) -> bool:
        """Return whether a step was not finite, checked when a check is due; the reason is then in `failure`."""
        step = self.watch.first_bad(at_once=at_once)
        if step is None:
            return False
        state = self.state
        state.position.step = step.number
        state.bring_home()
        self.failure = explain(step, state.position.epoch, state.plain, self.objective, state.device)
        return True

    def _close_epoch(self, callbacks: Sequence[Callback], progress: Progress) -> bool:
        """Score the epoch, keep its weights if they are the best, and record it; return whether a callback ends training."""
        state, position, average = self.state, self.state.position, self.state.stepper.average
        state.stepper.spread_buffers()
        if self.searching:
            # The model still changes its form, so its scores cannot be compared with those that follow.
            position.forget_scores()
            self.searching = bool(getattr(self.objective, "searching", False))
        train = -(position.running / position.rows).item()
        with average.applied() if average is not None else contextlib.nullcontext():
            validation = None
            if self.held_out is not None:
                objective = state.strategy.objective
                validation = mean_score(objective, self.held_out, state.chunk_rows(), self.ranks, state.device)
            score = train if validation is None else validation
            kept = snapshot(state.strategy.whole) if is_better(score, position) or validation is None else None
        # A signal between here and the end of this change must not save a state that has only a part of it.
        self.consistent = False
        if kept is not None:
            state.best, position.best_epoch = kept, position.epoch
        count_epoch(score, position, self.config)
        record = {
            "epoch": position.epoch,
            "steps": position.step,
            "train": train,
            "validation": validation,
            "lr": state.stepper.rate,
            "gradient": position.gradient.item(),
            "seconds": state.seconds(),
            "best": kept is not None,
        }
        if (
            getattr(self.objective, "likelihood", False)
            and isinstance(self.model, Distribution)
            and self.model.space.discrete
        ):
            record["bits"] = self.model.space.bits(score)
        position.history.append(record)
        position.next_epoch()
        self.consistent = True
        if self.metrics is not None:
            self.metrics.write(record)
        progress.epoch(record, position.score)
        answers = [callback(dict(record)) for callback in callbacks]
        return self.ranks.agree(any(answer is True for answer in answers), now=True)[0]

    def _save(self) -> bool:
        """Save a checkpoint if there is a path; return whether that succeeded."""
        if self.writer is None:
            return False
        self.writer.saved = time.monotonic()
        state = self.state.to_dict()
        return self.writer.write(state) if self.ranks.main else True

    def _finish(self, stopped: Stopped, *, saved: bool) -> FitResult:
        """Restore the best weights and return the record of the run.

        Raises:
            TrainingError: There are no weights of a good epoch.
        """
        state, position = self.state, self.state.position
        if state.best is None and (stopped == "nonfinite" or (position.history and stopped != "interrupted")):
            state.begin_again()
            raise TrainingError(
                f"{self.failure or self._no_score()}; there was no good epoch before it, so the starting weights were "
                "restored; lower the learning rate, or check these rows"
            )
        state.bring_home(state.best)
        message = self.failure or ""
        if stopped == "interrupted":
            message = self._interruption(saved=saved)
        if message:
            message += f"; the best weights of epoch {position.best_epoch} were kept" if state.best is not None else ""
            if self.ranks.main:
                logger.warning("%s", message)
        return FitResult(
            best_epoch=position.best_epoch,
            best_validation=None if self.held_out is None else position.score,
            epochs=len(position.history),
            steps=position.step,
            seconds=state.seconds(),
            history=position.history,
            train_rows=state.source.rows,
            validation_rows=0 if self.held_out is None else self.held_out.rows,
            stopped=stopped,
            message=message,
            seed=self.config.seed,
            config=self.config.to_dict(),
            likelihood=getattr(self.objective, "likelihood", False),
            objective=objective_name(self.objective),
            signal=(self.signal or self.interrupt.signal) if stopped == "interrupted" else None,
        )

    def _unsolved(self, error: SolverError) -> str:
        """Restore the weights after a step in which a solver failed, and return the reason as a clause."""
        self.consistent = False
        self.state.bring_home()
        return f"in epoch {self.state.position.epoch}, after {self.state.position.step} steps: {error}"

    def _interruption(self, *, saved: bool) -> str:
        position, count = self.state.position, self.state.source.count
        done = f"{position.batch} steps" if count is None else f"{position.batch} of {count} steps"
        message = f"training was interrupted in epoch {position.epoch}, after {done}"
        if saved and self.writer is not None:
            return f"{message}; its state was saved, continue with resume={str(self.writer.path)!r}"
        return message if self.writer is None else f"{message}; the last checkpoint is in {self.writer.path}"

    def _no_score(self) -> str:
        message = "the validation score was not finite in any epoch"
        if isinstance(self.objective, NegativeLogLikelihood) and self.held_out is not None:
            place = first_unscored(self.model, self.held_out, self.state.chunk_rows(), self.state.device)
            message += "" if place is None else f" ({place})"
        return message
