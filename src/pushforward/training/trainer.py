"""One training run: its state, its epochs, and every way in which it can end.

Sums and flags of the steps stay on the device and are read once an epoch (on a GPU every 50 steps; on the CPU, where reading
costs nothing, every step). A step whose loss or gradient is not finite is never applied.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..core import Distribution, initialise
from ..errors import FileError, SolverError, TrainingError
from ..objectives import NegativeLogLikelihood, objective_name
from ..signals import signal_of
from .batches import Batch, batches
from .checkpoint import require_same_run, save_checkpoint
from .checkpoint_checks import require_sound
from .config import TrainConfig, batches_in, schedule_factor
from .data import RowSplit
from .evaluate import first_unscored, mean_score
from .interrupt import Interrupt
from .metrics import MetricsFile
from .nonfinite import Watch, explain, steps_between_checks
from .parallel.processes import ProcessRanks
from .parallel.strategies import Replicated, Sharded
from .progress import Progress
from .progress_state import Position
from .result import FitResult, Stopped
from .rng import fresh_stream, random_state, set_random_state
from .step import Stepper
from .threads import threads_for
from .weights import Weights, bundle, restore, snapshot, tensors

Callback = Callable[[dict[str, Any]], "bool | None"]

logger = logging.getLogger("pushforward.training")

CHUNK_NUMBERS = 1_000_000
"""Numbers in the events that are looked at together when no gradient is needed (validation rows, and the training rows that
data-dependent starting values are measured on), at most; they are at least a batch and at most 4096 rows."""


class Trainer:
    """One run of `fit`: the state of it, and the moves between its states.

    Args:
        model: to train.
        objective: the loss.
        split: the rows.
        config: not resolved.
        checkpoint: where to save, or None.
        ranks: the processes that share the work; by default this one.
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
        self.model, self.objective, self.split, self.checkpoint = model, objective, split, checkpoint
        self.ranks = ranks or ProcessRanks()
        self.given = config
        self.config = config.resolve(len(split.train_index))
        self.batch_size, self.epochs = self.config.batch_size or 1, self.config.epochs or 1
        self.batches = batches_in(len(split.train_index), self.batch_size)
        self.total = min(self.epochs * self.batches, self.config.max_steps or self.epochs * self.batches)
        self.device = split.train.x.device
        self.plain = bundle(model, objective)
        if not any(p.requires_grad for p in self.plain.parameters()):
            raise TrainingError(f"expected a model with parameters to train, got {type(model).__name__} without any")
        first = split.train.x[: self.batch_size]
        self.config = self.config.replace(threads=threads_for(self.config, self.plain.parameters(), first))
        self.position = Position.start(self.device)
        self.best: Weights | None = None
        self.start: Weights = {}
        self.failure: str | None = None
        self.consistent = True
        self.metrics: MetricsFile | None = None
        self.interrupt = Interrupt(patient=self.ranks.several)
        self.signal: int | None = None
        self.fingerprint = split.fingerprint() if checkpoint is not None or self.ranks.several else []
        self.ranks.require_same((self.fingerprint, config))
        self.began = self.saved = time.monotonic()

    def initialise(self) -> None:
        """Set data-dependent starting values, the same in all processes."""
        self.ranks.spread(tensors(self.plain).values())
        if self.config.initialise and isinstance(self.model, Distribution):
            rows = self.split.order(self.config.seed, 1)[: self._chunk()]
            initialise(self.model, *self.split.train.take(rows))
        self._place()
        if self.ranks.rank > 0:
            fresh_stream(self.device, self.config.seed, self.ranks.rank, 0)

    def load(self, state: dict[str, Any], path: object) -> None:
        """Go to the state that a checkpoint holds, whatever number of processes wrote it.

        Raises:
            TrainingError: it is of another run.
        """
        require_same_run(state, path, self.given, tensors(self.plain), self.fingerprint)
        restore(self.plain, state["weights"])
        self._place()
        whole = [parameter for parameter in self.weights.whole.parameters() if parameter.requires_grad]
        require_sound(state, path, {**self._state(), "parameters": whole}, self.batches)
        self.stepper.load(state)
        if state["best"] is not None:
            self.best = self.weights.part({k: v.to(self.device) for k, v in state["best"].items()})
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
        """Put the weights where they live during the run, and make what takes the steps.

        Raises:
            SpecError: the model cannot be trained in that way.
        """
        sharded = self.config.parallel == "fsdp" and self.ranks.several
        self.start = {name: t.cpu() if sharded else t for name, t in snapshot(self.plain).items()}
        self.weights = (Sharded if sharded else Replicated)(self.model, self.objective, self.config, self.ranks)
        self.stepper = Stepper(self.weights, self.config, self.device)
        self.watch = Watch(self.device, steps_between_checks(self.device) if self.stepper.fused else 1)

    def prepare_files(self, metrics: Path | None, stack: contextlib.ExitStack) -> None:
        """Write the first checkpoint and open the metrics file, so that a path that cannot be written fails now.

        The first process alone has the files.

        Raises:
            FileError: naming the path.
        """
        state = None if self.checkpoint is None else self._state()

        def write() -> None:
            if self.checkpoint is not None and state is not None:
                save_checkpoint(self.checkpoint, state)
            if metrics is not None:
                self.metrics = MetricsFile(metrics, self.position.history)
                stack.callback(self.metrics.close)

        self.ranks.once(write)

    def run(self, callbacks: Sequence[Callback], progress: Progress) -> FitResult:
        """Train to the end, whatever the end is."""
        stopped: Stopped | None = None
        # Among several, Ctrl-C is a request from here on: a process that left alone would block the others.
        with self.interrupt if self.ranks.several else contextlib.nullcontext():
            try:
                self._compile()
            except KeyboardInterrupt as error:
                stopped, self.signal = "interrupted", signal_of(error)
            if self.ranks.several:
                self.stepper.wrap(self._first_batch())
        with self.interrupt, progress:
            try:
                while stopped is None:
                    stopped = self._over() or self._epoch(callbacks, progress)
            except SolverError as error:
                # As a loss that is not finite: there is no number for this step.
                self.failure, stopped = self._unsolved(error), "nonfinite"
            except KeyboardInterrupt as error:
                if self.ranks.several:
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
            (failed,) = self.ranks.agree(not self.stepper.compile(self._first_batch()), now=True)
            self.config = self.config.replace(compile=not failed)

    def _first_batch(self) -> tuple[Tensor, ...]:
        first = self.split.order(self.config.seed, 1)
        return next(batches(self.split.train, first, self.batch_size)).rows

    def _over(self) -> Stopped | None:
        if self.config.patience and self.split.valid is not None and self.position.waited >= self.config.patience:
            return "patience"
        if self.position.epoch > self.epochs:
            return "converged"
        return self._cut_short(now=True)[0]

    def _cut_short(self, *, now: bool = False) -> tuple[Stopped | None, bool]:
        """Whether to stop within the epoch, and whether it is time to save; decided by all processes together."""
        interrupted = self.interrupt.requested or self.ranks.asked_to_end
        late = self.config.max_seconds is not None and self._seconds() >= self.config.max_seconds
        interrupted, late, due = self.ranks.agree(interrupted, late, self._save_due(), now=now)
        if interrupted:
            return "interrupted", due
        done = self.config.max_steps is not None and self.position.step >= self.config.max_steps
        return "limit" if late or done else None, due

    def _seconds(self) -> float:
        return self.position.seconds + time.monotonic() - self.began

    def _epoch(self, callbacks: Sequence[Callback], progress: Progress) -> Stopped | None:
        """The rest of the epoch in progress, and its end."""
        position = self.position
        order = self.split.order(self.config.seed, position.epoch)
        with self.stepper.running():
            for batch in batches(self.split.train, order, self.batch_size, position.batch):
                self._step(batch)
                last = batch.number == self.batches
                early, due = self._cut_short()
                if self._failed(at_once=bool(early) or due or last):
                    return "nonfinite"
                if due:
                    self._save()
                if early and not last:
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
        loss, norm = self.stepper.gradient(batch.rows)
        if not self.watch.after(loss, norm):
            return
        rate = self.config.lr * schedule_factor(self.config, position.step, self.total, position.plateau)
        position.step += 1
        self.stepper.update(position.step, rate, self.watch.skip)
        position.add(loss, norm, len(batch))
        self.consistent = True

    def _failed(self, *, at_once: bool) -> bool:
        """Whether a step was not finite, found out when it is time to look; `failure` then says why."""
        step = self.watch.first_bad(at_once=at_once)
        if step is None:
            return False
        self.position.step = step.number
        self._bring_home(tensors(self.weights.whole))
        self.failure = explain(step, self.position.epoch, self.plain, self.objective, self.split.train, self.device)
        return True

    def _close_epoch(self, callbacks: Sequence[Callback], progress: Progress) -> bool:
        """Score the epoch, keep its weights if they are the best, record it; whether a callback wants to stop."""
        position, split, average = self.position, self.split, self.stepper.average
        self.stepper.spread_buffers()
        train = -(position.running / position.rows).item()
        with average.applied() if average is not None else contextlib.nullcontext():
            validation = None
            if split.valid is not None:
                validation = mean_score(
                    self.weights.objective, split.valid, split.valid_index, self._chunk(), self.ranks
                )
            score = train if validation is None else validation
            better = math.isfinite(score) and (position.score is None or score > position.score)
            kept = snapshot(self.weights.whole) if better or validation is None else None
        self.consistent = False
        if kept is not None:
            self.best, position.best_epoch = kept, position.epoch
        position.score_epoch(score, self.config, better=better)
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
        size = max(1, self.split.train.x[0].numel())
        return max(self.batch_size, min(4096, CHUNK_NUMBERS // size))

    def _save_due(self) -> bool:
        every = self.config.checkpoint_seconds
        return self.checkpoint is not None and every is not None and time.monotonic() - self.saved >= every

    def _save(self) -> bool:
        """Save if there is a path; a failure is reported and training goes on, the file on disk being the old one."""
        if self.checkpoint is None:
            return False
        self.saved = time.monotonic()
        state = self._state()
        if not self.ranks.main:
            return True
        try:
            save_checkpoint(self.checkpoint, state)
        except FileError as error:
            logger.warning("%s; the checkpoint before it is still there", error)
            return False
        return True

    def _state(self) -> dict[str, Any]:
        """All of the run, as one process would have it; made by all processes together."""
        streams = self.ranks.gathered(random_state(self.device))
        return {
            "weights": self.weights.full(tensors(self.weights.whole)),
            **self.stepper.state(),
            "best": None if self.best is None else self.weights.full(self.best),
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
        self._bring_home(tensors(self.weights.whole) if self.best is None else self.best)
        message = self.failure or ""
        if stopped == "interrupted":
            message = self._interruption(saved=saved)
        if message:
            message += f"; the best weights of epoch {position.best_epoch} were kept" if self.best is not None else ""
            if self.ranks.main:
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
            likelihood=getattr(self.objective, "likelihood", False),
            objective=objective_name(self.objective),
            signal=(self.signal or self.interrupt.signal) if stopped == "interrupted" else None,
        )

    def _unsolved(self, error: SolverError) -> str:
        """Bring the weights home after a step that a solver could not take; why, as a clause."""
        self.consistent = False
        self._bring_home(tensors(self.weights.whole))
        return f"in epoch {self.position.epoch}, after {self.position.step} steps: {error}"

    def _bring_home(self, weights: Weights) -> None:
        """Put weights of the run, wherever they live, into the model."""
        restore(self.plain.to(self.device), self.weights.full(weights))

    def _interruption(self, *, saved: bool) -> str:
        epoch, done = self.position.epoch, self.position.batch
        message = f"training was interrupted in epoch {epoch}, after {done} of {self.batches} steps"
        if saved:
            return f"{message}; its state was saved, go on with resume={str(self.checkpoint)!r}"
        return message if self.checkpoint is None else f"{message}; the last checkpoint is in {self.checkpoint}"

    def _no_score(self) -> str:
        message = "the validation score was not finite in any epoch"
        if isinstance(self.objective, NegativeLogLikelihood) and self.split.valid is not None:
            row = first_unscored(self.model, self.split.valid, self.split.valid_index, self._chunk())
            where = "the data" if self.split.valid is self.split.train else "the validation data"
            message += "" if row is None else f" (row {row} of {where})"
        return message
