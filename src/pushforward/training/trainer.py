"""One training run: its state, its epochs, and every way in which it can end.

Sums and flags of the steps stay on the device and are read once an epoch (on a GPU every 50 steps; on the CPU, where reading
costs nothing, every step). A step whose loss or gradient is not finite is never applied.
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

from ..core import Distribution, initialise
from ..errors import SolverError, TrainingError
from ..objectives import NegativeLogLikelihood, objective_name
from ..signals import signal_of
from .batches import Batch, HeldOutRows, RowBatches
from .checkpoint import CheckpointWriter, save_checkpoint
from .checkpoint_checks import require_same_run, require_sound
from .config import TrainConfig
from .early_stopping import count_epoch, is_better, out_of_patience
from .evaluate import first_unscored, mean_score
from .interrupt import Interrupt
from .learning_rate import schedule_factor
from .metrics import MetricsFile
from .model_weights import NamedTensors, bundle, restore, snapshot, tensors
from .nonfinite import Watch, explain, steps_between_checks
from .parallel.processes import ProcessRanks
from .parallel.strategies import Replicated, Sharded
from .progress import Progress
from .progress_state import Position
from .random_state import fresh_stream, random_state, set_random_state
from .result import FitResult, Stopped
from .step import Stepper
from .threads import threads_for
from .validation_split import RowSplit

Callback = Callable[[dict[str, Any]], "bool | None"]

logger = logging.getLogger("pushforward.training")

CHUNK_NUMBERS = 1_000_000
"""Largest number of entries of the events that are looked at together where no gradient is needed (validation rows, and the
training rows that data-dependent starting values are measured on); they are at least a batch and at most 4096 rows."""


class Trainer:
    """One run of `fit`: its state, and the steps from one state to the next.

    Args:
        model: The model to train.
        objective: The loss.
        split: The training and validation rows.
        config: Options of the run, not resolved.
        checkpoint: Path of the checkpoints; None for no checkpoints.
        ranks: The processes that share the work; by default this one.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: nn.Module,
        split: RowSplit,
        config: TrainConfig,
        checkpoint: Path | None,
        ranks: ProcessRanks | None = None,
    ) -> None:
        self.model, self.objective = model, objective
        self.ranks = ranks or ProcessRanks()
        self.several = self.ranks.several
        self.given = config
        self.config = config.resolve(len(split.train_index))
        self.batch_size, self.epochs = self.config.batch_size or 1, self.config.epochs or 1
        self.source = RowBatches(split, self.batch_size, config.seed)
        self.held_out = None if split.valid is None else HeldOutRows(split)
        self.total = min(self.epochs * self.source.count, self.config.max_steps or self.epochs * self.source.count)
        self.device = split.train.x.device
        self.plain = bundle(model, objective)
        if not any(p.requires_grad for p in self.plain.parameters()):
            raise TrainingError(f"expected a model with parameters to train, got {type(model).__name__} without any")
        threads = threads_for(self.config, self.plain.parameters(), self.source.example)
        self.config = self.config.replace(threads=threads)
        self.position = Position.start(self.device)
        self.best: NamedTensors | None = None
        self.start: NamedTensors = {}
        self.failure: str | None = None
        self.consistent = True
        self.metrics: MetricsFile | None = None
        self.interrupt = Interrupt(patient=self.several)
        self.signal: int | None = None
        self.writer = None if checkpoint is None else CheckpointWriter(checkpoint, config.checkpoint_seconds)
        self.fingerprint = split.fingerprint() if checkpoint is not None or self.several else []
        self.ranks.require_same((self.fingerprint, config))
        self.began = time.monotonic()

    def initialise(self) -> None:
        """Set data-dependent starting values, the same in all processes."""
        self.ranks.spread(tensors(self.plain).values())
        if self.config.initialise and isinstance(self.model, Distribution):
            initialise(self.model, *self.source.head(self._chunk()))
        self._place()
        if self.ranks.rank > 0:
            fresh_stream(self.device, self.config.seed, self.ranks.rank, 0)

    def load(self, state: dict[str, Any], path: object) -> None:
        """Set the state that a checkpoint holds, whatever number of processes wrote it.

        Raises:
            TrainingError: it is of another run.
        """
        require_same_run(state, path, self.given, tensors(self.plain), self.fingerprint)
        restore(self.plain, state["weights"])
        self._place()
        whole = [parameter for parameter in self.strategy.whole.parameters() if parameter.requires_grad]
        require_sound(state, path, {**self._state(), "parameters": whole}, self.source.count)
        self.stepper.load(state)
        if state["best"] is not None:
            self.best = self.strategy.part({k: v.to(self.device) for k, v in state["best"].items()})
        self.position = Position.from_dict(state["position"], self.device)
        streams = [state["random"], *state.get("random_others", ())]
        if self.ranks.rank < len(streams):
            try:
                set_random_state(streams[self.ranks.rank], self.device)
            except RuntimeError:
                raise TrainingError(
                    f"expected a training checkpoint of this run in {path}, got one with unusable random numbers; start anew"
                ) from None
        else:
            fresh_stream(self.device, self.config.seed, self.ranks.rank, self.position.step)

    def _place(self) -> None:
        """Put the weights where they are during the run, and make the stepper.

        Raises:
            SpecError: the model cannot be trained in that way.
        """
        sharded = self.config.parallel == "fsdp" and self.several
        self.start = {name: t.cpu() if sharded else t for name, t in snapshot(self.plain).items()}
        self.strategy = (Sharded if sharded else Replicated)(self.model, self.objective, self.config, self.ranks)
        self.stepper = Stepper(self.strategy, self.config, self.device)
        self.watch = Watch(self.device, steps_between_checks(self.device) if self.stepper.fused else 1)

    def prepare_files(self, metrics: Path | None, stack: contextlib.ExitStack) -> None:
        """Write the first checkpoint and open the metrics file, so that a path that cannot be written fails now.

        The first process alone has the files.

        Raises:
            FileError: naming the path.
        """
        state = None if self.writer is None else self._state()

        def write() -> None:
            if self.writer is not None and state is not None:
                save_checkpoint(self.writer.path, state)
            if metrics is not None:
                self.metrics = MetricsFile(metrics, self.position.history)
                stack.callback(self.metrics.close)

        self.ranks.once(write)

    def run(self, callbacks: Sequence[Callback], progress: Progress) -> FitResult:
        """Train to the end, whatever the end is."""
        stopped: Stopped | None = None
        # Among several, Ctrl-C is a request from here on: a process that left alone would block the others.
        with self.interrupt if self.several else contextlib.nullcontext():
            try:
                self._compile()
            except KeyboardInterrupt as error:
                stopped, self.signal = "interrupted", signal_of(error)
            if self.several:
                self.stepper.wrap(next(self.source.epoch(1)))
        with self.interrupt, progress:
            try:
                while stopped is None:
                    stopped = self._over() or self._epoch(callbacks, progress)
            except SolverError as error:
                # As a loss that is not finite: there is no number for this step.
                self.failure, stopped = self._unsolved(error), "nonfinite"
            except KeyboardInterrupt as error:
                if self.several:
                    raise
                stopped, self.signal = "interrupted", signal_of(error)
            saved = stopped != "nonfinite" and self.consistent and self._save()
            if stopped == "limit" and self.position.batch:
                # Saved in the middle of an epoch, recorded as if it ended here.
                with contextlib.suppress(KeyboardInterrupt):
                    self._close_epoch(callbacks, progress)
        return self._finish(stopped, saved=saved)

    def settle(self) -> None:
        """Leave evaluation mode and no gradients behind, also after an error."""
        self.plain.to(self.device)
        self.plain.zero_grad(set_to_none=True)
        self.plain.eval()

    def _compile(self) -> None:
        """Compile the objective if that is wanted and there is a step to take; the record says whether it was done."""
        if self.config.compile and self._over() is None:
            (failed,) = self.ranks.agree(not self.stepper.compile(next(self.source.epoch(1))), now=True)
            self.config = self.config.replace(compile=not failed)

    def _over(self) -> Stopped | None:
        if self.held_out is not None and out_of_patience(self.position, self.config):
            return "patience"
        if self.position.epoch > self.epochs:
            return "converged"
        return self._cut_short(now=True)[0]

    def _cut_short(self, *, now: bool = False) -> tuple[Stopped | None, bool]:
        """Whether to stop within the epoch, and whether it is time to save; decided by all processes together."""
        interrupted = self.interrupt.requested
        late = self.config.max_seconds is not None and self._seconds() >= self.config.max_seconds
        due = self.writer is not None and self.writer.due()
        if self.several:
            interrupted, late, due = self.ranks.agree(interrupted or self.ranks.asked_to_end, late, due, now=now)
        if interrupted:
            return "interrupted", due
        done = self.config.max_steps is not None and self.position.step >= self.config.max_steps
        return "limit" if late or done else None, due

    def _seconds(self) -> float:
        return self.position.seconds + time.monotonic() - self.began

    def _epoch(self, callbacks: Sequence[Callback], progress: Progress) -> Stopped | None:
        """The rest of the epoch in progress, and its end."""
        position = self.position
        with self.stepper.running():
            for batch in self.source.epoch(position.epoch, position.batch):
                self._step(batch)
                early, due = self._cut_short()
                if self._failed(at_once=bool(early) or due or batch.last):
                    return "nonfinite"
                if due:
                    self._save()
                if early and not batch.last:
                    return early
        every = self.config.checkpoint_every
        ended = self._close_epoch(callbacks, progress)
        if every and len(position.history) % every == 0:
            self._save()
        return "callback" if ended else None

    def _step(self, batch: Batch) -> None:
        position = self.position
        self.consistent = False
        self.watch.before(position.step, batch)
        loss, norm = self.stepper.gradient(batch)
        if not self.watch.after(loss, norm):
            return
        rate = self.config.lr * schedule_factor(self.config, position.step, self.total, position.plateau)
        position.step += 1
        self.stepper.update(position.step, rate, self.watch.skip)
        position.batch += 1
        position.rows += len(batch)
        position.running.add_(loss, alpha=len(batch))
        torch.maximum(position.gradient, norm, out=position.gradient)
        self.consistent = True

    def _failed(self, *, at_once: bool) -> bool:
        """Whether a step was not finite, found out when it is time to look; `failure` then says why."""
        step = self.watch.first_bad(at_once=at_once)
        if step is None:
            return False
        self.position.step = step.number
        self._bring_home(tensors(self.strategy.whole))
        self.failure = explain(step, self.position.epoch, self.plain, self.objective, self.device)
        return True

    def _close_epoch(self, callbacks: Sequence[Callback], progress: Progress) -> bool:
        """Score the epoch, keep its weights if they are the best, record it; whether a callback wants to stop."""
        position, average = self.position, self.stepper.average
        self.stepper.spread_buffers()
        train = -(position.running / position.rows).item()
        with average.applied() if average is not None else contextlib.nullcontext():
            validation = None
            if self.held_out is not None:
                validation = mean_score(self.strategy.objective, self.held_out, self._chunk(), self.ranks, self.device)
            score = train if validation is None else validation
            kept = snapshot(self.strategy.whole) if is_better(score, position) or validation is None else None
        self.consistent = False
        if kept is not None:
            self.best, position.best_epoch = kept, position.epoch
        count_epoch(score, position, self.config)
        record = {
            "epoch": position.epoch,
            "steps": position.step,
            "train": train,
            "validation": validation,
            "lr": self.stepper.rate,
            "gradient": position.gradient.item(),
            "seconds": self._seconds(),
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

    def _chunk(self) -> int:
        size = max(1, self.source.example[0].numel())
        return max(self.batch_size, min(4096, CHUNK_NUMBERS // size))

    def _save(self) -> bool:
        """Save if there is a path; whether it was possible."""
        if self.writer is None:
            return False
        self.writer.saved = time.monotonic()
        state = self._state()
        return self.writer.write(state) if self.ranks.main else True

    def _state(self) -> dict[str, Any]:
        """Return the whole state of the run, as one process would have it; made by all processes together."""
        streams = self.ranks.gathered(random_state(self.device))
        return {
            "weights": self.strategy.full(tensors(self.strategy.whole)),
            **self.stepper.state(),
            "best": None if self.best is None else self.strategy.full(self.best),
            "position": {**self.position.to_dict(), "seconds": self._seconds()},
            "random": streams[0],
            "random_others": streams[1:],
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
            restore(self.plain.to(self.device), self.start)
            raise TrainingError(
                f"{self.failure or self._no_score()}; there was no good epoch before it and the starting weights were put "
                "back; lower the learning rate, or look at these rows"
            )
        self._bring_home(tensors(self.strategy.whole) if self.best is None else self.best)
        message = self.failure or ""
        if stopped == "interrupted":
            message = self._interruption(saved=saved)
        if message:
            message += f"; the best weights of epoch {position.best_epoch} were kept" if self.best is not None else ""
            if self.ranks.main:
                logger.warning("%s", message)
        return FitResult(
            best_epoch=position.best_epoch,
            best_validation=None if self.held_out is None else position.score,
            epochs=len(position.history),
            steps=position.step,
            seconds=self._seconds(),
            history=position.history,
            train_rows=self.source.rows,
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
        """Put the weights back after a step that a solver could not take, and return the reason as a clause."""
        self.consistent = False
        self._bring_home(tensors(self.strategy.whole))
        return f"in epoch {self.position.epoch}, after {self.position.step} steps: {error}"

    def _bring_home(self, weights: NamedTensors) -> None:
        """Copy weights of the run, which may be shards, into the model."""
        restore(self.plain.to(self.device), self.strategy.full(weights))

    def _interruption(self, *, saved: bool) -> str:
        epoch, done = self.position.epoch, self.position.batch
        message = f"training was interrupted in epoch {epoch}, after {done} of {self.source.count} steps"
        if saved and self.writer is not None:
            return f"{message}; its state was saved, go on with resume={str(self.writer.path)!r}"
        return message if self.writer is None else f"{message}; the last checkpoint is in {self.writer.path}"

    def _no_score(self) -> str:
        message = "the validation score was not finite in any epoch"
        if isinstance(self.objective, NegativeLogLikelihood) and self.held_out is not None:
            place = first_unscored(self.model, self.held_out, self._chunk(), self.device)
            message += "" if place is None else f" ({place})"
        return message
