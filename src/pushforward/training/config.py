"""TrainConfig: all options of a training run as plain values, with defaults that depend on the number of rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from ..core.recompute import Memory
from ..errors import SpecError, brief, suggestion

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Schedule = Literal["plateau", "cosine", "linear", "constant"]
Autocast = Literal["off", "bf16", "fp16"]
Parallel = Literal["ddp", "fsdp"]

STEPS = 20_000
"""Length of a run in steps by default: enough for a flow on a table, where early stopping usually ends training sooner."""
PATIENCE_STEPS = 2_000
"""Steps without a better validation score after which a run with default patience stops."""
LARGEST = 2**63
"""Whole numbers must be below this; seeds of torch must be, too."""
LENGTH_FIELDS = frozenset({"epochs", "max_steps", "max_seconds", "checkpoint_every", "checkpoint_seconds"})
"""Fields that may differ on resume because they only decide when to stop and when to save."""
SPEED_FIELDS = frozenset({"compile", "threads", "memory", "parallel"})
"""Fields that may also differ on resume because they change the numbers only by rounding: a run resumed with other values ends
close to the uninterrupted one, but not on the same bits. `autocast` is not among them because it changes the precision."""


Options = TypeVar("Options", bound="DataclassInstance")


def replaced(options: Options, owner: str, fields: Mapping[str, Any]) -> Options:
    """Return a copy of options with some fields replaced.

    Args:
        options: A dataclass of options.
        owner: Name of the thing that has these options, for the message, such as "training".
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
    """Options of training. None means that the value is chosen from the number of rows, 0 turns an option off.

    The defaults are made for tables of 200 to a million rows: batches of about 2 sqrt(N) rows (64 to 1024), at most about
    20000 steps (20 to 1000 epochs), AdamW at 1e-3 after a short warm-up, and a learning rate that is lowered when the
    validation score stalls. Training stops when that score has not improved for about 2000 steps (5 to 100 epochs). These
    lengths are counted in steps and not in epochs because an epoch has 3 steps on a table of 200 rows and 900 on one of a
    million. The weights that are validated and kept are a moving average over about 200 steps, which gives better held-out
    scores on small tables.

    Args:
        epochs: Largest number of passes over the training rows; by default as many as make about 20000 steps.
        batch_size: Number of rows in a step; by default about 2 sqrt(rows), from 64 to 1024. The last batch of an epoch may
            have fewer rows.
        lr: Learning rate after the warm-up.
        weight_decay: Decoupled weight decay of AdamW.
        schedule: Learning-rate schedule: lowered when the validation score stalls (plateau), lowered to zero over the
            run (cosine or linear), or constant. "plateau" multiplies the rate by `plateau_factor` whenever the validation
            score has not improved for `plateau_patience` epochs; without validation rows it uses the training score.
        plateau_factor: Factor in (0, 1) by which the plateau schedule lowers the learning rate.
        plateau_patience: Number of epochs without progress before the plateau schedule lowers the rate; by default a third of
            the patience.
        warmup: Number of steps over which the learning rate rises linearly from zero; by default one epoch, at most 200 steps.
        patience: Number of epochs without a better validation score after which training stops; by default about 2000 steps;
            0 for no early stopping.
        clip: Largest norm of the gradient; larger gradients are scaled down to it; 0 for no limit.
        ema: Decay of the moving average of the weights, which is validated and kept; 0 to keep the last weights instead.
        seed: Seed of the validation split, of the order of the rows, and of all random numbers in the model.
        initialise: Whether data-dependent starting values, such as those of actnorm, are computed from training rows first.
        compile: Whether the objective is compiled with `torch.compile`, which delays the first step and makes the others
            faster; needs a C++ compiler. It is compiled as a whole for one shape of batch. A last batch of another size and the
            validation run without compilation. If compilation fails (no C++ compiler, Python code that torch.compile does not
            support), all steps run without it, after a warning.
        autocast: Precision of matrix products in the networks while training: bf16, fp16, or off for that of the weights.
            With "fp16" the loss is scaled to keep small gradients. Transforms, log-probabilities, weights and the validation
            keep their precision. The model must be in float32.
        memory: Values that a chain keeps for the gradient: everything (store), nothing that grows with the number of layers
            (invert), or one event for each layer (checkpoint). "invert" recomputes the inputs of layers with their inverses
            (see `core.memory`). Both save memory, take more time, and cannot be combined with `compile`.
        parallel: Weights held by each process that `torchrun` started: all of them (ddp), or a part of each (fsdp), for models
            that do not fit in memory otherwise. It has no effect in a single process.
        threads: Number of processor threads; by default one if a step is small, else all that torch may use
            (`torch.get_num_threads()`), and never more than that.
        max_steps: Number of steps after which training stops.
        max_seconds: Time in seconds after which training stops; on resume, the time of the earlier runs counts too.
        checkpoint_every: Number of epochs between checkpoints; without a checkpoint path there are none.
        checkpoint_seconds: Number of seconds between checkpoints, which are then also written within an epoch.

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
        """Return the options with every None, except limits, replaced by a value chosen for a number of training rows."""
        batch_size = self.batch_size
        if batch_size is None:
            batch_size = min(1024, max(64, 2 ** round(math.log2(2 * math.sqrt(rows)))))
        return self.replace(batch_size=batch_size).for_steps(batches_in(rows, batch_size))

    def for_steps(self, steps: int) -> TrainConfig:
        """Return the options with every None, except limits and `batch_size`, chosen for the number of steps in an epoch."""
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
        """Return the plain values by field name."""
        return dataclasses.asdict(self)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Return the names of fields whose values differ from another run's, without those that may differ on resume.

        A field that is missing in the other run's values counts as its default there.
        """
        own, theirs = self.to_dict(), {**TrainConfig().to_dict(), **other}
        return [name for name in own if name not in LENGTH_FIELDS | SPEED_FIELDS and own[name] != theirs[name]]


def batches_in(rows: int, batch_size: int) -> int:
    """Return the number of batches in an epoch: the last, smaller one counts, but a single row joins the batch before it."""
    whole, rest = divmod(rows, batch_size)
    if whole == 0:
        return 1
    return whole + (rest > 1)
