"""State of a training run: everything in a checkpoint, with functions to set it at the start or from a checkpoint."""

from __future__ import annotations

import time
from typing import Any

from torch import nn

from ..core import Distribution, Node, initialise
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
"""Largest number of entries of the events that are processed together when no gradient is needed (for validation rows, and for
the training rows that give data-dependent starting values); the rows are at least a batch and at most 4096."""


class RunState:
    """State of a training run: weights, optimizer, position, best weights, random state.

    Args:
        model: The model to train.
        objective: The loss.
        split: The training and validation rows.
        config: Options of the run, not resolved.
        ranks: Processes that share the work.
        optimizer: Function that makes the optimizer from the parameters; AdamW by default.
        fingerprint: Whether the run needs a fingerprint of its rows, which checkpoints contain.

    Attributes:
        config: Options of the run, resolved.
        plain: The bundle of the caller's model and objective.
        strategy: Placement of the weights during the run.
        position: Position of the run, between two steps.
        best: The best weights so far; None if there are none.
        start: The weights at the start of the run.

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
        """Compute data-dependent starting values, which are the same in all processes."""
        self.ranks.spread(tensors(self.plain).values())
        if self.config.initialise and isinstance(self.model, Distribution):
            wanted = max((m.start_rows for m in self.model.modules() if isinstance(m, Node)), default=0)
            initialise(self.model, *self.source.head(max(wanted, self.chunk_rows())))
        self._place()
        if self.ranks.rank > 0:
            fresh_stream(self.device, self.config.seed, self.ranks.rank, 0)

    def load(self, state: dict[str, Any], path: object) -> None:
        """Set the state from a checkpoint, which may have been written by any number of processes.

        Raises:
            TrainingError: The checkpoint is of another run.
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
        # Each process continues its own random numbers. A process that the run did not have before gets new ones.
        streams = [state["random"], *state.get("random_others", ())]
        if self.ranks.rank < len(streams):
            try:
                set_random_state(streams[self.ranks.rank], self.device)
            except RuntimeError:
                raise TrainingError(
                    f"expected a training checkpoint of this run in {path}, got one with unusable random numbers; start a new "
                    "run"
                ) from None
        else:
            fresh_stream(self.device, self.config.seed, self.ranks.rank, self.position.step)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole state in the form that a single process has; all processes must call this together."""
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
        """Return the time in seconds that the run has taken, with earlier runs."""
        return self.position.seconds + time.monotonic() - self.began

    def chunk_rows(self) -> int:
        """Return the number of rows that are processed together when no gradient is needed."""
        size = max(1, self.source.example[0].numel())
        return max(self.config.batch_size or 1, min(4096, CHUNK_NUMBERS // size))

    def count_steps(self, batches: int, rows: int) -> None:
        """Record the length of an epoch; if it was not known before, choose the options that depend on it."""
        known = self.source.count is not None
        self.source.ended(batches, rows)
        if not known:
            resolved = self.split.resolve(self.given)
            self.config = resolved.replace(threads=self.config.threads, compile=self.config.compile)
            self.total = self._total()

    def bring_home(self, weights: NamedTensors | None = None) -> None:
        """Copy weights of the run, which may be shards, into the caller's model; by default the current ones."""
        weights = tensors(self.strategy.whole) if weights is None else weights
        restore(self.plain.to(self.device), self.strategy.full(weights))

    def begin_again(self) -> None:
        """Copy the weights from the start of the run into the caller's model."""
        restore(self.plain.to(self.device), self.start)

    def _total(self) -> int:
        """Return the number of steps of the whole run."""
        steps = (self.config.epochs or 1) * (self.source.count or PROVISIONAL_STEPS)
        return min(steps, self.config.max_steps or steps)

    def _place(self) -> None:
        """Place the weights on the processes, and make the stepper.

        Raises:
            SpecError: The model cannot be trained with these options.
        """
        sharded = self.config.parallel == "fsdp" and self.ranks.several
        self.start = {name: t.cpu() if sharded else t for name, t in snapshot(self.plain).items()}
        self.strategy = (Sharded if sharded else Replicated)(self.model, self.objective, self.config, self.ranks)
        self.stepper = Stepper(self.strategy, self.config, self.device, self.optimizer)
