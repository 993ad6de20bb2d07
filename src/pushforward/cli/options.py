"""The options of the commands, as dataclasses that become flags, and the values that their texts stand for.

Nothing here imports torch when it is imported, so that help is quick.
"""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from ..dataclass_source import first_sentence, package_file, source_module
from ..errors import FlowError

MODEL = ".flow"
"""Suffix of a model file."""
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class UsageError(FlowError):
    """Options that do not make sense, alone or together."""


def _no_flag(hint: object, path: str) -> None:
    """Refuse a flag, or nothing, where a path was to come; a single hyphen is a path."""
    if path == "":
        raise ValueError("expected a path, got an empty one; give a file name, or . for this folder")
    if isinstance(path, str) and path.startswith("-") and path != "-":
        raise ValueError(f"expected a path, got {path}; a path that begins with a hyphen is written ./{path}")


_SYSTEM = Group("System", sort_key=1)
_TABLE = Group("Table", sort_key=2)
_IMAGES = Group("Pictures", sort_key=3)
_OUTPUT = Group("Output", sort_key=4)
_TRAINING = Group(
    "Training",
    help="Pictures have other defaults: 64 in a batch, a limit of --clip for each pixel, --ema 0.999 from 10000 steps on.",
    sort_key=5,
)
_MACHINE = Group("Machine", sort_key=6)

Flag = Annotated[bool, Parameter(negative=())]
Repeated = Annotated[tuple[str, ...], Parameter(negative=())]
Part = Annotated[float, Parameter(validator=Number(gte=0))]
Positive = Annotated[int, Parameter(validator=Number(gte=1))]
Port = Annotated[int, Parameter(validator=Number(gte=1, lte=65535))]
FilePath = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_no_flag)]
OutPath = Annotated[FilePath, Parameter(alias="-o")]


@Parameter(name="*", group=_SYSTEM)
@dataclass(frozen=True, kw_only=True)
class SystemOptions:
    """Which flow.

    Args:
        flow: System for the numeric columns of a table, or for pictures, glow by default; `pushforward systems` lists them. For
            a table the default is chosen by its size and columns, and compared with a mixture of Gaussians.
        quick: Give a usable model within half a minute: a coarse choice of the system, and 15 seconds of training.
        labels: System for the categorical columns of a table, such as discrete; by default a network of softmaxes.
        label_hidden: Widths of the hidden layers of that network, with commas; by default they grow with the number of labels.
        preset: Named set of the system's arguments, such as tiny, small or paper; small by default for pictures.
        layers: Number of layers.
        hidden: Width of the networks, or several widths with commas where the system takes them.
        set: Any argument of the system, as NAME=VALUE, repeated; `pushforward systems NAME` lists them.
    """

    flow: Annotated[str | None, Parameter(alias="-f")] = None
    quick: Flag = False
    labels: str | None = None
    label_hidden: str | None = None
    preset: str | None = None
    layers: int | None = None
    hidden: str | None = None
    set: Repeated = ()

    def label_widths(self) -> tuple[int, ...] | None:
        """Return the widths of the network of labels; None if none are given.

        Raises:
            UsageError: They are no whole numbers above zero.
        """
        if self.label_hidden is None:
            return None
        texts = [text.strip() for text in self.label_hidden.split(",") if text.strip()]
        if not texts or not all(text.isdecimal() and 0 < int(text) < 10**6 for text in texts):
            raise UsageError(f"expected --label-hidden to be widths such as 128,128, got {self.label_hidden!r}")
        return tuple(map(int, texts))

    def arguments(self, name: str, preset: str | None = None) -> dict[str, Any]:
        """Return the arguments of a system: those of its preset, then those of --layers, --hidden and --set.

        Args:
            name: Name of the system.
            preset: Preset when the command line names none and the system has it.

        Raises:
            UsageError: An argument is given twice, or is no NAME=VALUE.
            SpecError: There is no such preset.
        """
        from ..systems.spec import Spec

        texts = name_values(self.set, "--set", "layers=5")
        for field, value in (("layers", self.layers), ("hidden", self.hidden)):
            if value is None:
                continue
            if field in texts:
                raise UsageError(f"--{field} and --set {field}=... say the same; give one of them")
            texts[field] = str(value)
        known = Spec.registry.get(name)
        if known is None:
            return dict(texts)
        chosen = self.preset or (preset if preset in known.presets else None)
        hints = typing.get_type_hints(known)
        values = {field: _typed(text, hints.get(field, str)) for field, text in texts.items()}
        return {**({} if chosen is None else known.preset_arguments(chosen)), **values}


@Parameter(name="*", group=_TABLE)
@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How a table is read and split.

    Args:
        kind: COLUMN=KIND where the guess is wrong: continuous, integer, categorical, constant, date, identifier or text (left
            out); date:FORMAT for dates such as date:%d/%m/%Y; repeated.
        bounds: COLUMN=LOW:HIGH for numbers that cannot lie outside; either side may be empty; repeated.
        drop: Column to leave out; repeated.
        max_labels: Largest number of labels of a column; columns with more are left out.
        schema: TOML file with kinds, bounds and markers of columns, such as `pushforward schema` writes; flags go before it.
        test: Fraction (below 1) or number of rows that training never sees, for the final score; 0 for none.
        validation: Fraction or number of the other rows that decide when to stop; 0 for none.
    """

    kind: Repeated = ()
    bounds: Repeated = ()
    drop: Repeated = ()
    max_labels: Positive = 256
    schema: FilePath | None = None
    test: Part = 0.1
    validation: Part = 0.1

    def shares(self) -> tuple[int | float, int | float]:
        """Return the parts for testing and for validation: fractions below 1, or whole numbers of rows.

        Raises:
            UsageError: One is neither.
        """
        return _part(self.test, "--test"), _part(self.validation, "--validation")

    def limits(self) -> dict[str, tuple[float | None, float | None]]:
        """Return the bounds of columns; None for an empty side.

        Raises:
            UsageError: One is not COLUMN=LOW:HIGH.
        """
        found: dict[str, tuple[float | None, float | None]] = {}
        for name, text in name_values(self.bounds, "--bounds", "share=0:1").items():
            low, colon, high = text.partition(":")
            try:
                if not colon:
                    raise ValueError
                found[name] = (float(low) if low.strip() else None, float(high) if high.strip() else None)
            except ValueError:
                raise UsageError(
                    f"expected --bounds {name}=LOW:HIGH with numbers or nothing on either side, got {text!r}"
                ) from None
        return found


@Parameter(name="*", group=_TABLE)
@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How a table is read.

    Args:
        missing: Texts and numbers that mark missing values, with commas, such as '?,-999', instead of the usual ones and of
            those that are found; '' for empty fields only.
        header: Whether the first line of a text file holds the names of the columns; auto finds out.
        strict: Stop at the first column or row that cannot be used. By default fit leaves such columns out, and score gives
            such rows a log-likelihood of -inf.
        max_columns: Limit on the number of columns.
        max_gigabytes: Limit on what a packed table unpacks to, in GB of memory; by default half a gigabyte, or a hundred
            times the size of the file where that is more.
    """

    missing: str | None = None
    header: Literal["auto", "yes", "no"] = "auto"
    strict: Flag = False
    max_columns: Positive = 20_000
    max_gigabytes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None

    def limits(self) -> dict[str, Any]:
        """Return the limits on the size of a table, as `read_table` takes them."""
        return {"max_columns": self.max_columns, "max_gigabytes": self.max_gigabytes}

    def reading(self, hints: Mapping[str, Hint]) -> Reading:
        """Return how the entries of a file are understood, given hints on its columns."""
        from ..tables.hints import Reading

        missing = None
        if self.missing is not None:
            missing = tuple(text.strip() for text in self.missing.split(",") if text.strip())
        header = None if self.header == "auto" else self.header == "yes"
        return Reading(hints=hints, missing=missing, header=header, strict=self.strict)


@Parameter(name="*", group=_IMAGES)
@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How pictures are read, and what is done with them while training; --test and --validation split those without parts.

    Args:
        image_size: Height and width that they are cropped and resized to; by default all must have one size already.
        tiles: Height and width of random crops of the pictures, which the model learns instead of whole pictures; the
            pictures may have any size. For models that `compress` codes pictures with.
        levels: Number of values that a pixel can take, 0 ... levels - 1; by default that of the data set, or 256.
        label: Attribute of the pictures whose classes the model is given; without a NAME their label.
        flips: Whether to mirror half of the pictures, left to right, while training.
        grids: Folder for a grid of samples after each epoch.
    """

    image_size: Positive | None = None
    tiles: Positive | None = None
    levels: Positive | None = None
    label: Annotated[bool | str, Parameter(negative=())] = False
    flips: Flag = False
    grids: str | None = None


@Parameter(name="*", group=_OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What `fit` writes.

    Args:
        out: Model file; by default the name of the table or data set with the suffix .flow, in the current folder.
        metrics: JSONL file with one line for each epoch.
        checkpoint: File for the state of the run; by default OUT.checkpoint, which is removed at the end.
        resume: Checkpoint of an interrupted run to go on from, with the same options.
        baselines: Whether to fit simple densities to compare the score with.
        json: Print the record of the run as one JSON object instead of the table.
    """

    out: OutPath | None = None
    metrics: str | None = None
    checkpoint: str | None = None
    resume: str | None = None
    baselines: bool = True
    json: Flag = False

    @property
    def model(self) -> str:
        """The model file; `named_after` chooses one where the command line does not."""
        return self.out or ""

    @property
    def state(self) -> Path:
        """The file for the state of the run."""
        return Path(self.checkpoint or self.resume or f"{self.model}.checkpoint")

    @property
    def state_is_temporary(self) -> bool:
        """Whether the file for the state is removed when the run is over."""
        return self.checkpoint is None and str(self.state) == f"{self.model}.checkpoint"

    def named_after(self, source: str) -> OutputOptions:
        """Return the options with a model file: without --out, the source's name with the suffix .flow, in the current folder.

        A file of that name is never replaced, unless the run goes on from its own checkpoint.

        Raises:
            UsageError: The source has no name, or there is such a file.
        """
        if self.out is not None:
            return self
        name = Path(os.path.realpath(source) if Path(source).name in ("", "..") else source)
        if source == "-" or not name.name:
            raise UsageError(f"expected --out FILE for the model, as {source} has no name to make one from")
        found = f"{name.name if os.path.isdir(source) else name.stem}{MODEL}"
        if os.path.lexists(found) and self.resume != f"{found}.checkpoint":
            raise UsageError(
                f"{found} exists and is not replaced; give the model another file with --out FILE, or --out {found} to "
                "replace it"
            )
        return dataclasses.replace(self, out=found)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What `score` writes.

    Args:
        out: Table of the scores, in the order of the rows: number of the row, identifiers, log_prob, percentile among the
            training rows, whether it is an outlier, and a note on rows that cannot be scored; - for standard output, the
            default without --top. For pictures there is one column, log_prob.
        top: Number of the least likely rows to list, with their numbers (from 1) and values.
        contamination: Share of the training rows that are less likely than every row that is no outlier.
        explain: Add, for each outlier, the columns whose values make it unlikely given the others.
        samples: Number of draws that are averaged for each row where log_prob is a lower bound; more make it tighter.
        drop: Column of the table to leave out; repeated.
        exactly: Score continuous and residual flows of tables with solvers, traces and series that are right to rounding, at
            several times the cost.
        json: Print the summary as one JSON object.
    """

    out: OutPath | None = None
    top: Annotated[int, Parameter(alias="-t")] = 0
    contamination: Annotated[float, Parameter(validator=Number(gte=0, lt=1))] = 0.01
    explain: Flag = False
    samples: Positive = 1
    drop: Repeated = ()
    exactly: Flag = False
    json: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """What `sample` draws.

    Args:
        rows: Number of rows or pictures; 1000 rows by default, 64 pictures.
        out: Table to write, its type by its suffix, - for CSV on standard output; for pictures .png for a grid, .npy or .npz
            for the array.
        temperature: Factor for the latent codes of pictures.
        label: Class of the pictures, by number or name; all in turn by default.
        nearest: Pictures; the nearest one of their training part is shown under each sample.
        extrapolate: Allow values of tables outside of the range of the table that the model was fitted to.
        escape_formulas: Write, in CSV, a single quote before names and texts that a spreadsheet would run as formulas.
    """

    rows: Annotated[Positive | None, Parameter(name=("--rows", "-n"))] = None
    out: OutPath = "-"
    temperature: Annotated[float, Parameter(validator=Number(gte=0))] = 1.0
    label: str | None = None
    nearest: FilePath | None = None
    extrapolate: Flag = False
    escape_formulas: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What `report` writes.

    Args:
        out: HTML file to write.
        drop: Column of the table to leave out; repeated.
        title: Title of the page; by default the name of the table or of the pictures.
        baselines: Whether to fit simple densities to compare the score with.
        json: Print the summary as one JSON object.
    """

    out: OutPath = "report.html"
    drop: Repeated = ()
    title: str | None = None
    baselines: bool = True
    json: Flag = False


if TYPE_CHECKING:
    from ..tables.hints import Hint, Reading
    from ..training.config import TrainConfig as TrainOptions
else:
    # The fields of TrainConfig, without those of MachineOptions, and the first sentences that its docstring has about them.
    TrainOptions = Parameter(name="*", group=_TRAINING)(
        dataclasses.make_dataclass(
            "TrainOptions",
            [
                (field.name, Annotated[field.hint, Parameter(help=first_sentence(field.text))], field.default)
                for field in source_module(package_file("training", "config.py"))["TrainConfig"].fields()
                if field.name not in ("seed", "threads")
            ],
            frozen=True,
            kw_only=True,
            namespace={"__doc__": "How the model is trained.", "__module__": __name__},
        )
    )


@Parameter(name="*", group=_MACHINE)
@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """What every command that computes takes.

    Args:
        seed: Number below 2^63 from which everything random starts; the same one gives the same result on the same machine.
        device: Device to compute on; auto takes a GPU where there is one.
        threads: Number of threads of the processor; more than one seldom helps models of tables.
        quiet: Print errors only.
        config: TOML file with a table for each command, such as [fit] with lr = 1e-3; flags and environment go before it.
    """

    seed: Annotated[int, Parameter(validator=Number(gte=0, lt=2**63))] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Positive = 1
    quiet: Annotated[bool, Parameter(alias="-q", negative=())] = False
    config: str | None = None


def name_values(texts: Sequence[str], option: str, example: str) -> dict[str, str]:
    """Return NAME=VALUE texts as a dictionary; `option` is their flag and `example` one of them, for the message.

    Raises:
        UsageError: One is no such pair.
    """
    found = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise UsageError(f"expected {option} NAME=VALUE, such as {option} {example}, got {text!r}")
        found[name.strip()] = value.strip()
    return found


def _part(value: float, option: str) -> int | float:
    if 0 < value < 1:
        return value
    if value < 0 or not value.is_integer():
        raise UsageError(f"expected {option} to be a fraction below 1 or a whole number of rows, got {value:g}")
    return int(value)


def _typed(text: str, hint: Any) -> Any:
    """A text as a value of a declared type; what does not fit stays text, and the system refuses it by name."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_typed(entry.strip(), arguments[0]) for entry in text.split(",") if entry.strip())
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and type(None) in arguments:
            return None
        return _typed(text, next(a for a in arguments if a is not type(None)))
    if hint is bool:
        return _TRUTH.get(text.lower(), text)
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            return text
    return text
