"""TrainConfig: every choice of a training run as plain values, and the defaults that follow from the number of rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from ..core.recompute import Memory
from ..errors import SpecError, brief, suggestion

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Schedule = Literal["plateau", "cosine", "constant"]
Autocast = Literal["off", "bf16", "fp16"]
Parallel = Literal["ddp", "fsdp"]

STEPS = 20_000
"""Length of a run of default length, in steps: enough for a flow on a table, and early stopping usually ends it sooner."""
PATIENCE_STEPS = 2_000
"""Steps without a better validation score after which a run with default patience stops."""
LARGEST = 2**63
"""Limit of whole numbers; torch's seeds are below it."""
LENGTH_FIELDS = frozenset({"epochs", "max_steps", "max_seconds", "checkpoint_every", "checkpoint_seconds"})
"""Fields that may differ on resume: they say when to stop and when to save, not what to learn."""
SPEED_FIELDS = frozenset({"compile", "threads", "memory", "parallel"})
"""Fields that may differ on resume too: the same numbers are computed up to rounding, so a run that goes on with other ones
ends close to the uninterrupted one, but not on the same bits. `autocast` is none of them, as it changes the precision."""


Options = TypeVar("Options", bound="DataclassInstance")


def replaced(options: Options, owner: str, fields: Mapping[str, Any]) -> Options:
    """Return a copy of options with some fields replaced.

    Args:
        options: A dataclass of options.
        owner: Owner of the options in the message, such as "training".
        fields: New values by name.

    Raises:
        SpecError: A field is unknown or out of range.
    """
    known = [field.name for field in dataclasses.fields(options)]
    for name in fields:
        if name not in known:
            raise SpecError(f"{owner} has no option {name!r}; {suggestion(name, known, 'it has:')}")
    return dataclasses.replace(options, **fields)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train. None means "chosen from the number of rows", 0 means "off".

    The defaults are for tables of 200 to a million rows, left alone: batches of about 2 sqrt(N) rows (64 to 1024), at
    most about 20000 steps (20 to 1000 epochs), AdamW at 1e-3 after a short warm-up, and a learning rate that is lowered
    when the validation score stalls, until it has not improved for about 2000 steps (5 to 100 epochs). They count steps
    and not epochs because an epoch is 3 steps of a table of 200 rows and 900 steps of one of a million. The weights that
    are validated and kept are a moving average over about 200 steps, which gives better held-out scores on small tables.

    Args:
        epochs: Largest number of passes over the training rows; by default about 20000 steps.
        batch_size: Number of rows in a step; by default about 2 sqrt(rows), from 64 to 1024. The last, smaller batch of an
            epoch is kept.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay of AdamW.
        schedule: Course of the learning rate: lowered when the validation score stalls (plateau), lowered to zero over the
            run (cosine), or constant. "plateau" multiplies the rate by `plateau_factor` whenever the validation score has not
            improved for `plateau_patience` epochs; without validation rows it uses the training score.
        plateau_factor: Factor in (0, 1) by which the plateau schedule lowers the learning rate.
        plateau_patience: Number of epochs without progress before the plateau schedule lowers the rate; by default a third of
            the patience.
        warmup: Number of steps over which the learning rate rises linearly from zero; by default an epoch, at most 200 steps.
        patience: Number of epochs without a better validation score after which training stops; by default about 2000 steps;
            0 for no early stopping.
        clip: Largest norm of the gradient; 0 for no limit.
        ema: Decay of the moving average of the weights, which is validated and kept; 0 to keep the last weights.
        seed: Seed of the split, of the order of the rows, and of everything random in the model.
        initialise: Whether data-dependent starting values, such as those of actnorm, are set from training rows first.
        compile: Whether the objective is compiled with `torch.compile`: a longer wait for the first step, then faster steps;
            needs a C++ compiler. It is compiled whole and for one shape of batch. A last batch of another size and the
            validation run without it; where it is not possible (no C++ compiler, Python that torch.compile does not
            understand) all do, after a warning.
        autocast: Precision of the matrix products in the networks while training: bf16, fp16, or off for that of the weights.
            "fp16" has a loss scale of its own. Maps, log-probabilities, weights and the validation keep their precision. The
            model must be in float32.
        memory: Values that a chain keeps for the gradient: everything (store), nothing that grows with the number of layers
            (invert), or one event for each layer (checkpoint). "invert" computes inputs again by the layers' inverses
            (`core.memory`). Both trade time for memory, and neither can be combined with `compile`.
        parallel: Weights in each process that `torchrun` started: all of them (ddp), or a part of each (fsdp) for models that
            do not fit otherwise. It has no effect in a single process.
        threads: Number of threads of the processor; by default one where a step is small, else all that torch may use
            (`torch.get_num_threads()`), and never more than those.
        max_steps: Number of steps after which training stops.
        max_seconds: Time in seconds after which training stops, with the time of earlier runs on resume.
        checkpoint_every: Number of epochs between checkpoints. There are none without a path.
        checkpoint_seconds: Number of seconds between checkpoints, also within an epoch.

    Raises:
        SpecError: A value is out of range.
    """

    epochs: int | None = None
    batch_size: int | None = None
    lr: float = 1e-3
    weight_decay: float = 1e-6
    schedule: Schedule = "plateau"
    plateau_factor: float = 0.3
    plateau_patience: int | None = None
    warmup: int | None = None
    patience: int | None = None
    clip: float = 5.0
    ema: float = 0.995
    seed: int = 0
    initialise: bool = True
    compile: bool = False
    autocast: Autocast = "off"
    memory: Memory = "store"
    parallel: Parallel = "ddp"
    threads: int | None = None
    max_steps: int | None = None
    max_seconds: float | None = None
    checkpoint_every: int = 10
    checkpoint_seconds: float | None = 60.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("epochs", "batch_size", "max_steps", "plateau_patience", "threads"):
            self._whole(name, 1)
        for name in ("warmup", "patience", "checkpoint_every", "seed"):
            self._whole(name, 0)
        for name in ("lr", "weight_decay", "clip", "max_seconds", "checkpoint_seconds", "ema", "plateau_factor"):
            self._number(name)
        if self.lr == 0:
            raise SpecError("expected lr > 0, got 0")
        if self.ema >= 1:
            raise SpecError(f"expected ema in [0, 1), got {self.ema}")
        if not 0 < self.plateau_factor < 1:
            raise SpecError(f"expected plateau_factor in (0, 1), got {self.plateau_factor}")
        choices = {"schedule": Schedule, "autocast": Autocast, "memory": Memory, "parallel": Parallel}
        for name, known in ((name, get_args(choice)) for name, choice in choices.items()):
            if getattr(self, name) not in known:
                raise SpecError(f"expected {name} to be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not isinstance(self.compile, bool):
            raise SpecError(f"expected compile to be True or False, got {self.compile!r}")
        if self.compile and self.memory != "store":
            raise SpecError(f"expected compile=True or memory={self.memory!r}, got both; leave one of them out")

    def _whole(self, name: str, low: int) -> None:
        value = getattr(self, name)
        optional = name in {"epochs", "batch_size", "max_steps", "warmup", "patience", "plateau_patience", "threads"}
        if value is None and optional:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise SpecError(f"expected {name} to be a whole number >= {low}, got {brief(value)}")
        if value >= LARGEST:
            raise SpecError(f"expected {name} to be a whole number below 2^63, got {brief(value)}")

    def _number(self, name: str) -> None:
        value = getattr(self, name)
        if value is None and name in {"max_seconds", "checkpoint_seconds"}:
            return
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not (0 <= value < math.inf):
            raise SpecError(f"expected {name} to be a finite number >= 0, got {value!r}")

    def replace(self, **fields: Any) -> TrainConfig:
        """Return a copy with some fields replaced.

        Raises:
            SpecError: A field is unknown or out of range.
        """
        return replaced(self, "training", fields)

    def resolve(self, rows: int) -> TrainConfig:
        """Return the options with all that are None, limits apart, chosen for a number of training rows."""
        batch_size = self.batch_size
        if batch_size is None:
            batch_size = min(1024, max(64, 2 ** round(math.log2(2 * math.sqrt(rows)))))
        return self.replace(batch_size=batch_size).for_steps(batches_in(rows, batch_size))

    def for_steps(self, steps: int) -> TrainConfig:
        """Return the options with all that are None, limits and `batch_size` apart, chosen for the steps of an epoch."""
        patience = min(100, max(5, math.ceil(PATIENCE_STEPS / steps)))
        chosen = {
            "epochs": min(1000, max(20, math.ceil(STEPS / steps))),
            "patience": patience,
            "plateau_patience": max(1, patience // 3),
            "warmup": min(200, steps),
        }
        open_fields = {name: value for name, value in chosen.items() if getattr(self, name) is None}
        return self.replace(**open_fields)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by field name."""
        return dataclasses.asdict(self)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Fields in which another run's plain values differ, those that may differ on resume left out.

        A field that the other run did not know yet has its default there.
        """
        own, theirs = self.to_dict(), {**TrainConfig().to_dict(), **other}
        return [name for name in own if name not in LENGTH_FIELDS | SPEED_FIELDS and own[name] != theirs[name]]


def batches_in(rows: int, batch_size: int) -> int:
    """Batches in an epoch: the last, smaller one counts, but a single row left over joins the batch before it."""
    whole, rest = divmod(rows, batch_size)
    if whole == 0:
        return 1
    return whole + (rest > 1)
