"""The options of the commands, as dataclasses that become flags. Nothing here imports torch, so that help is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import Number

_SYSTEM = Group("System", sort_key=1)
_TABLE = Group("Table", sort_key=2)
_IMAGES = Group("Pictures", sort_key=3)
_OUTPUT = Group("Output", sort_key=4)
_TRAINING = Group("Training", sort_key=5)
_MACHINE = Group("Machine", sort_key=6)

Repeated = Annotated[tuple[str, ...], Parameter(negative=())]
Part = Annotated[float, Parameter(validator=Number(gte=0))]
Positive = Annotated[int, Parameter(validator=Number(gte=1))]


def _no_flag(hint: object, path: str) -> None:
    """Refuse a flag, or nothing, where a path was to come; a single hyphen is a path."""
    if path == "":
        raise ValueError("expected a path, got an empty one; give a file name, or . for this folder")
    if isinstance(path, str) and path.startswith("-") and path != "-":
        raise ValueError(f"expected a path, got {path}; a path that begins with a hyphen is written ./{path}")


FilePath = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_no_flag)]
OutPath = Annotated[FilePath, Parameter(alias="-o")]


@Parameter(name="*", group=_SYSTEM)
@dataclass(frozen=True, kw_only=True)
class SystemOptions:
    """Which flow.

    Args:
        flow: system for the numeric columns of a table, nsf by default, or for pictures, glow by default; `pushforward systems`
            lists them.
        labels: system for the categorical columns of a table, such as discrete; by default a network of softmaxes.
        preset: named set of the system's arguments, such as tiny, small or paper; small by default for pictures.
        layers: of the system.
        hidden: of the system: a width, or several with commas, as it takes them.
        set: any argument of the system, as NAME=VALUE, repeated; `pushforward systems NAME` lists them.
    """

    flow: Annotated[str | None, Parameter(alias="-f")] = None
    labels: str | None = None
    preset: str | None = None
    layers: int | None = None
    hidden: str | None = None
    set: Repeated = ()


@Parameter(name="*", group=_TABLE)
@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How a table is read and split.

    Args:
        kind: COLUMN=continuous, integer, categorical or constant, where the guess is wrong; repeated.
        bounds: COLUMN=LOW:HIGH for numbers that cannot lie outside; either side may be empty; repeated.
        drop: column to leave out; repeated.
        test: fraction (below 1) or number of rows that training never sees, for the final score; 0 for none.
        validation: fraction or number of the other rows that decide when to stop; 0 for none.
    """

    kind: Repeated = ()
    bounds: Repeated = ()
    drop: Repeated = ()
    test: Part = 0.1
    validation: Part = 0.1


@Parameter(name="*", group=_TABLE)
@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How large a table may be.

    Args:
        max_columns: limit on the number of columns.
        max_gigabytes: limit on what a packed table unpacks to, in GB of memory; by default half a gigabyte, or a hundred
            times the size of the file where that is more.
    """

    max_columns: Positive = 20_000
    max_gigabytes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None


@Parameter(name="*", group=_IMAGES)
@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How pictures are read, and what is done with them while training; --test and --validation split those without parts.

    Args:
        image_size: height and width that they are cropped and resized to; by default all must have one size already.
        tiles: Height and width of random crops of the pictures, which the model learns instead of whole pictures; the
            pictures may have any size. For models that `compress` codes pictures with.
        levels: values that a pixel can take, 0 ... levels - 1; by default those of the data set, or 256.
        label: make a model by class: of an attribute of the pictures by its NAME, without one of their label.
        flips: whether to mirror half of the pictures, left to right, while training.
        grids: folder for a grid of samples after each epoch.
    """

    image_size: Positive | None = None
    tiles: Positive | None = None
    levels: Positive | None = None
    label: Annotated[bool | str, Parameter(negative=())] = False
    flips: Annotated[bool, Parameter(negative=())] = False
    grids: str | None = None


@Parameter(name="*", group=_OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What `fit` writes.

    Args:
        out: Model file; by default the name of the table or data set with the suffix .flow, in the current folder.
        metrics: JSONL file with one line an epoch.
        checkpoint: file for the state of the run; by default OUT.checkpoint, which is removed at the end.
        resume: checkpoint of an interrupted run to go on from, with the same options.
        baselines: whether to fit the simple densities that the score stands beside.
        json: print the record of the run as one JSON object instead of the table.
    """

    out: OutPath | None = None
    metrics: str | None = None
    checkpoint: str | None = None
    resume: str | None = None
    baselines: bool = True
    json: Annotated[bool, Parameter(negative=())] = False

    @property
    def model(self) -> str:
        """The model file; `with_model_file` names one where the command line does not."""
        return self.out or ""


@Parameter(name="*", group=_TRAINING)
@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The fields of `TrainConfig` without seed and threads; it is not used itself because its package imports torch.

    Args:
        epochs: at most this many passes over the training rows; by default about 20000 steps.
        batch_size: rows in a step; by default about 2 sqrt(rows), 64 to 1024; 64 pictures.
        lr: learning rate after the warm-up.
        weight_decay: of AdamW, decoupled.
        schedule: of the learning rate: lowered when the validation score stalls, to zero over the run, or not at all.
        plateau_factor: what the plateau schedule multiplies the rate by.
        plateau_patience: epochs without progress before it does; by default a third of the patience.
        warmup: steps over which the rate rises from zero; by default an epoch, at most 200.
        patience: epochs without a better validation score before training stops; by default about 2000 steps; 0 for never.
        clip: largest norm of the gradient; 0 for no limit. By default for pictures so much for each pixel.
        ema: decay of the moving average of the weights that is kept instead of the last ones; 0 for none; for pictures 0.999
            by default from 10000 steps.
        initialise: whether data-dependent starting values are set first.
        compile: whether to compile the objective: a longer wait for the first step, then faster steps; needs a C++ compiler.
        autocast: bf16 or fp16 for the products in the networks while training; log-likelihoods stay in single precision.
        memory: invert or checkpoint for deep flows that do not fit: layers are computed again instead of kept.
        parallel: with torchrun, whether each process has all weights (ddp) or a part of them (fsdp).
        max_steps: stop after so many steps.
        max_seconds: stop after so much time.
        checkpoint_every: epochs between checkpoints.
        checkpoint_seconds: seconds between checkpoints, also within an epoch.
    """

    epochs: int | None = None
    batch_size: int | None = None
    lr: float = 1e-3
    weight_decay: float = 1e-6
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    plateau_factor: float = 0.3
    plateau_patience: int | None = None
    warmup: int | None = None
    patience: int | None = None
    clip: float = 5.0
    ema: float = 0.995
    initialise: bool = True
    compile: bool = False
    autocast: Literal["off", "bf16", "fp16"] = "off"
    memory: Literal["store", "invert", "checkpoint"] = "store"
    parallel: Literal["ddp", "fsdp"] = "ddp"
    max_steps: int | None = None
    max_seconds: float | None = None
    checkpoint_every: int = 10
    checkpoint_seconds: float | None = 60.0


@Parameter(name="*", group=_MACHINE)
@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """What every command that computes takes.

    Args:
        seed: number below 2^63 from which everything random starts; the same one gives the same result on the same machine.
        device: auto takes a GPU where there is one.
        threads: of the processor; more seldom helps models of tables.
        quiet: say nothing but errors.
        config: TOML file with a table for each command, such as [fit] with lr = 1e-3; flags and environment go before it.
    """

    seed: Annotated[int, Parameter(validator=Number(gte=0, lt=2**63))] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Positive = 1
    quiet: Annotated[bool, Parameter(alias="-q", negative=())] = False
    config: str | None = None
