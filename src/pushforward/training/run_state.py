"""State of a training run: all that a checkpoint holds, and how it is set at the start or from a checkpoint."""

from __future__ import annotations

import time
from typing import Any

from torch import nn

from ..core import Distribution, initialise
from ..errors import TrainingError
from .checkpoint_checks import require_same_run, require_sound
from .config import TrainConfig
from .data_loader import PROVISIONAL_STEPS, LoaderSplit
from .model_weights import NamedTensors, bundle, restore, snapshot, tensors
from .optimizer import OptimizerFactory
from .parallel.processes import ProcessRanks
from .parallel.strategies import Replicated, Sharded
from .progress_state import Position
from .random_state import fresh_stream, random_state, set_random_state
from .step import Stepper
from .threads import threads_for
from .validation_split import RowSplit

CHUNK_NUMBERS = 1_000_000
"""Largest number of entries of the events that are looked at together where no gradient is needed (validation rows, and the
training rows that data-dependent starting values are measured on); they are at least a batch and at most 4096 rows."""


class RunState:
    """State of a training run: weights, optimizer, position, best weights, random numbers.

    Args:
        model: The model to train.
        objective: The loss.
        split: The training and validation rows.
        config: Options of the run, not resolved.
        ranks: The processes that share the work.
        optimizer: Function that makes the optimizer from the parameters; AdamW by default.
        fingerprint: Whether the run needs a fingerprint of its rows, as checkpoints do.

    Attributes:
        config: Options of the run, resolved.
        plain: The bundle of the model and the objective of the caller.
        strategy: Where the weights are during the run.
        position: How far the run has come.
        best: The best weights so far; None if there are none.
        start: The weights that the run began with.

    Raises:
        TrainingError: The model has no parameters to train.
    """

    strategy: Replicated
    stepper: Stepper

    def __init__(
        self,
        model: nn.Module,
        objective: nn.Module,
        split: RowSplit | LoaderSplit,
        config: TrainConfig,
        ranks: ProcessRanks,
        optimizer: OptimizerFactory | None,
        *,
        fingerprint: bool,
    ) -> None:
        self.model, self.objective, self.split, self.ranks, self.optimizer = model, objective, split, ranks, optimizer
        self.given, self.config = config, split.resolve(config)
        self.source, self.device = split.source(self.config), split.device
        self.plain = bundle(model, objective)
        if not any(p.requires_grad for p in self.plain.parameters()):
            raise TrainingError(f"expected a model with parameters to train, got {type(model).__name__} without any")
        threads = threads_for(self.config, self.plain.parameters(), self.source.example)
        self.config = self.config.replace(threads=threads)
        self.total = self._total()
        self.position = Position.start(self.device)
        self.best: NamedTensors | None = None
        self.start: NamedTensors = {}
        self.fingerprint = split.fingerprint() if fingerprint else []
        self.began = time.monotonic()

    def initialise(self) -> None:
        """Set data-dependent starting values, the same in all processes."""
        self.ranks.spread(tensors(self.plain).values())
        if self.config.initialise and isinstance(self.model, Distribution):
            initialise(self.model, *self.source.head(self.chunk_rows()))
        self._place()
        if self.ranks.rank > 0:
            fresh_stream(self.device, self.config.seed, self.ranks.rank, 0)

    def load(self, state: dict[str, Any], path: object) -> None:
        """Set the state that a checkpoint holds, whatever number of processes wrote it.

        Raises:
            TrainingError: It is of another run.
        """
        require_same_run(state, path, self.given, tensors(self.plain), self.fingerprint)
        restore(self.plain, state["weights"])
        self._place()
        whole = [parameter for parameter in self.strategy.whole.parameters() if parameter.requires_grad]
        require_sound(state, path, {**self.to_dict(), "parameters": whole}, self.source.count)
        self.stepper.load(state)
        if state["best"] is not None:
            self.best = self.strategy.part({k: v.to(self.device) for k, v in state["best"].items()})
        self.position = Position.from_dict(state["position"], self.device)
        if self.position.history:
            self.count_steps(self.position.history[0]["steps"], 0)
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

    def to_dict(self) -> dict[str, Any]:
        """Return the whole state, as one process would have it; all processes have to call this together."""
        streams = self.ranks.gathered(random_state(self.device))
        return {
            "weights": self.strategy.full(tensors(self.strategy.whole)),
            **self.stepper.state(),
            "best": None if self.best is None else self.strategy.full(self.best),
            "position": {**self.position.to_dict(), "seconds": self.seconds()},
            "random": streams[0],
            "random_others": streams[1:],
            "config": self.given.to_dict(),
            "data": self.fingerprint,
        }

    def seconds(self) -> float:
        """Return how long the run has taken, earlier runs included."""
        return self.position.seconds + time.monotonic() - self.began

    def chunk_rows(self) -> int:
        """Return the number of rows that are looked at together where no gradient is needed."""
        size = max(1, self.source.example[0].numel())
        return max(self.config.batch_size or 1, min(4096, CHUNK_NUMBERS // size))

    def count_steps(self, batches: int, rows: int) -> None:
        """Take note of the length of an epoch, and choose the options that depend on it if it was not known before."""
        known = self.source.count is not None
        self.source.ended(batches, rows)
        if not known:
            resolved = self.split.resolve(self.given)
            self.config = resolved.replace(threads=self.config.threads, compile=self.config.compile)
            self.total = self._total()

    def bring_home(self, weights: NamedTensors | None = None) -> None:
        """Copy weights of the run, which may be shards, into the model of the caller; by default the present ones."""
        weights = tensors(self.strategy.whole) if weights is None else weights
        restore(self.plain.to(self.device), self.strategy.full(weights))

    def begin_again(self) -> None:
        """Copy the weights that the run began with into the model of the caller."""
        restore(self.plain.to(self.device), self.start)

    def _total(self) -> int:
        """Return the number of steps of the whole run."""
        steps = (self.config.epochs or 1) * (self.source.count or PROVISIONAL_STEPS)
        return min(steps, self.config.max_steps or steps)

    def _place(self) -> None:
        """Put the weights where they are during the run, and make the stepper.

        Raises:
            SpecError: The model cannot be trained in that way.
        """
        sharded = self.config.parallel == "fsdp" and self.ranks.several
        self.start = {name: t.cpu() if sharded else t for name, t in snapshot(self.plain).items()}
        self.strategy = (Sharded if sharded else Replicated)(self.model, self.objective, self.config, self.ranks)
        self.stepper = Stepper(self.strategy, self.config, self.device, self.optimizer)
