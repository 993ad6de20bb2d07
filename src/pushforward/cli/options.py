"""Options of the commands, as dataclasses whose fields become flags, and the conversion of their texts to values.

Importing this module does not import torch, so that `--help` is fast.
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
    """Error for options that are wrong, alone or together."""


def _no_flag(hint: object, path: str) -> None:
    """Refuse a flag or an empty text in place of a path; a single hyphen is a path."""
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
    help="For pictures some defaults differ: a batch has 64 pictures, the limit --clip is multiplied by the number of "
    "pixels, and --ema is 0.999 from 10000 steps on.",
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
    """Options for the choice of the flow.

    Args:
        flow: Name of the flow; `pushforward systems` lists all. In a table it models the numeric columns; any-order models all
            columns, and can then condition on any of them. By default the flow is chosen for the table and compared with a
            mixture of Gaussians. For pictures the default is glow, or pixelcnn for small pictures with --quick or with a height
            or width that 4 does not divide.
        quick: Give a usable model within half a minute, by a coarse choice of the flow and 15 seconds of training.
        labels: Name of the system for the categorical columns of a table, such as discrete; by default a network with
            softmaxes.
        label_hidden: Widths of the hidden layers of the network for categorical columns, separated by commas, such as 128,128;
            by default they grow with the number of labels.
        preset: Name of a set of arguments of the flow, such as tiny, small or paper; small by default for pictures.
        layers: Number of layers of the flow.
        hidden: Width of the hidden layers of the flow's networks, or several widths separated by commas if the flow allows
            them.
        given: Name of an observed column of a table, for the flow inn, which draws the other columns given the observed ones;
            can be repeated.
        set: Any other argument of the flow, as NAME=VALUE; can be repeated. `pushforward systems NAME` lists the arguments.
    """

    flow: Annotated[str | None, Parameter(alias="-f")] = None
    quick: Flag = False
    labels: str | None = None
    label_hidden: str | None = None
    preset: str | None = None
    layers: int | None = None
    hidden: str | None = None
    given: Repeated = ()
    set: Repeated = ()

    def label_widths(self) -> tuple[int, ...] | None:
        """Return the widths of the hidden layers of the network for labels; None if none are given.

        Raises:
            UsageError: The widths are not whole numbers above zero.
        """
        if self.label_hidden is None:
            return None
        texts = [text.strip() for text in self.label_hidden.split(",") if text.strip()]
        if not texts or not all(text.isdecimal() and 0 < int(text) < 10**6 for text in texts):
            raise UsageError(f"expected --label-hidden to be widths such as 128,128, got {self.label_hidden!r}")
        return tuple(map(int, texts))

    def arguments(self, name: str, preset: str | None = None) -> dict[str, Any]:
        """Return the arguments of a system: those of its preset, and those of --layers, --hidden and --set, which come first.

        Args:
            name: Name of the system.
            preset: Preset that is used if the command line names none and the system has it.

        Raises:
            UsageError: An argument is given twice, or does not have the form NAME=VALUE.
            SpecError: The system has no such preset.
        """
        from ..systems.spec import Spec

        if self.given and name != "inn":
            raise UsageError(f"expected --given only with --flow inn, got it with {name!r}")
        texts = name_values(self.set, "--set", "layers=5")
        for field, value in (("layers", self.layers), ("hidden", self.hidden)):
            if value is None:
                continue
            if field in texts:
                raise UsageError(f"--{field} and --set {field}=... set the same argument; give only one of them")
            texts[field] = str(value)
        known = Spec.registry.get(name)
        if known is None:
            return dict(texts)
        chosen = self.preset or (preset if preset in known.presets else None)
        hints = typing.get_type_hints(known)
        values = {field: _typed(text, hints.get(field, str)) for field, text in texts.items()}
        observed = {"columns": self.given} if self.given else {}
        return {**({} if chosen is None else known.preset_arguments(chosen)), **values, **observed}


@Parameter(name="*", group=_TABLE)
@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Options for the columns of a table and the split of its rows.

    Args:
        kind: Kind of a column, as COLUMN=KIND, if it is guessed wrong: continuous, integer, categorical, constant, date,
            date:FORMAT (such as date:%d/%m/%Y), angle:PERIOD (such as angle:24 for hours; degrees by default), identifier or
            text; text is left out. For the latitude and longitude of a place: COLUMN,COLUMN=position. Can be repeated.
        bounds: Bounds of a column of numbers, as COLUMN=LOW:HIGH; no value lies outside. Either side can be empty. Can be
            repeated.
        drop: Name of a column to leave out; can be repeated.
        max_labels: Largest number of labels of a column; a column with more labels is left out.
        schema: TOML file with kinds, bounds and missing-value markers of columns, as `pushforward schema` writes it; flags take
            precedence over it.
        test: Fraction (below 1) or number of the rows that are not used in training but for the final score; 0 for none.
        validation: Fraction (below 1) or number of the other rows that decide when training stops; 0 for none.
    """

    kind: Repeated = ()
    bounds: Repeated = ()
    drop: Repeated = ()
    max_labels: Positive = 256
    schema: FilePath | None = None
    test: Part = 0.1
    validation: Part = 0.1

    def shares(self) -> tuple[int | float, int | float]:
        """Return the sizes of the test and validation parts: fractions below 1, or whole numbers of rows.

        Raises:
            UsageError: A size is neither a fraction below 1 nor a whole number.
        """
        return _part(self.test, "--test"), _part(self.validation, "--validation")

    def limits(self) -> dict[str, tuple[float | None, float | None]]:
        """Return the bounds of columns, by name; None for an empty side.

        Raises:
            UsageError: A text does not have the form COLUMN=LOW:HIGH.
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
    """Options for reading a table.

    Args:
        missing: Texts and numbers that mark missing values, separated by commas, such as '?,-999'; '' for empty fields only. By
            default the usual markers are known, and others are found automatically.
        header: Whether the first line of a text file holds the names of the columns; with auto this is found automatically.
        strict: Stop with an error at the first column or row that cannot be used. By default fit leaves such columns out, and
            score gives such rows a log-likelihood of -inf.
        max_columns: Largest number of columns of a table.
        max_gigabytes: Largest size of a table in memory, in GB; by default half a gigabyte, or a hundred times the size of the
            file if that is more.
    """

    missing: str | None = None
    header: Literal["auto", "yes", "no"] = "auto"
    strict: Flag = False
    max_columns: Positive = 20_000
    max_gigabytes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None

    def limits(self) -> dict[str, Any]:
        """Return the limits on the size of a table as arguments of `read_table`."""
        return {"max_columns": self.max_columns, "max_gigabytes": self.max_gigabytes}

    def reading(self, hints: Mapping[str, Hint]) -> Reading:
        """Return the rules for the interpretation of the entries of a file, with hints on its columns."""
        from ..tables.hints import Reading

        missing = None
        if self.missing is not None:
            missing = tuple(text.strip() for text in self.missing.split(",") if text.strip())
        header = None if self.header == "auto" else self.header == "yes"
        return Reading(hints=hints, missing=missing, header=header, strict=self.strict)


@Parameter(name="*", group=_IMAGES)
@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Options for pictures. Pictures that are not split into parts are split by --test and --validation.

    Args:
        image_size: Height and width to which pictures are cropped and resized; by default all must have the same size.
        tiles: Height and width of random crops of the pictures, which are learned instead of whole pictures, for a model that
            `compress` will use; then the pictures can have any size.
        levels: Number of values that a pixel can have, 0 ... levels - 1; by default the number of the data set, or 256.
        label: Attribute of the pictures whose class is given to the model, so that classes can be sampled; without a name it is
            their label. For a table and the system flowgmm: the column of classes.
        condition: Picture that the model is given with each picture: lightness, smaller:2, top, bottom, left or right for a
            part of the picture itself, of which it then learns the rest; or a folder, array or data set with one for each.
        flips: Mirror a random half of the pictures, left to right, in every step of training.
        grids: Folder for a grid of sampled pictures after each epoch.
    """

    image_size: Positive | None = None
    tiles: Positive | None = None
    levels: Positive | None = None
    label: Annotated[bool | str, Parameter(negative=())] = False
    condition: str | None = None
    flips: Flag = False
    grids: str | None = None


@Parameter(name="*", group=_OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options for the files and the text that `fit` writes.

    Args:
        out: Model file to write; by default the name of the table or data set with the suffix .flow, in the current folder.
        metrics: JSON lines file to write, with one line for each epoch.
        checkpoint: File for the state of an unfinished run; by default OUT.checkpoint, which is removed at the end.
        resume: Checkpoint of an interrupted run, which is continued with the same options.
        baselines: Whether to fit simple densities, whose scores are shown beside the score of the model.
        json: Print the record of the run as one JSON object instead of a table.
    """

    out: OutPath | None = None
    metrics: str | None = None
    checkpoint: str | None = None
    resume: str | None = None
    baselines: bool = True
    json: Flag = False

    @property
    def model(self) -> str:
        """Model file; `named_after` chooses its name if the command line gives none."""
        return self.out or ""

    @property
    def state(self) -> Path:
        """File for the state of the run."""
        return Path(self.checkpoint or self.resume or f"{self.model}.checkpoint")

    @property
    def state_is_temporary(self) -> bool:
        """Whether the file for the state of the run is removed at the end."""
        return self.checkpoint is None and str(self.state) == f"{self.model}.checkpoint"

    def named_after(self, source: str) -> OutputOptions:
        """Return the options with a model file: without --out, the name of the source with the suffix .flow.

        An existing file of that name in the current folder is never replaced, unless the run continues from its own checkpoint.

        Raises:
            UsageError: The source has no name, or the file exists.
        """
        if self.out is not None:
            return self
        name = Path(os.path.realpath(source) if Path(source).name in ("", "..") else source)
        if source == "-" or not name.name:
            raise UsageError(f"expected --out FILE for the model, because {source} has no name; give a file name")
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
    """Options of `score`.

    Args:
        out: Table to write, with one row of scores for each row: row number, identifiers, log_prob, percentile among the
            training rows, whether the row is an outlier, and a note on a row that cannot be scored. The name - stands for
            standard output, which is the default without --top. For pictures the only column is log_prob.
        top: Number of the least likely rows to list, with their row numbers (from 1) and values.
        contamination: Share of the training rows whose log_prob is below a threshold; every row below it is an outlier.
        explain: Add for each outlier the columns whose values do not fit the other values of the row.
        samples: Number of draws that are averaged for each row if log_prob is a lower bound; more draws give a tighter bound.
        drop: Name of a column of the table to leave out; can be repeated.
        condition: Pictures that are given with the pictures to score, one for each, if they are not a part of these.
        exactly: Score continuous and residual flows of tables with exact solvers, traces and series; this takes several times
            as long.
        json: Print the summary as one JSON object.
    """

    out: OutPath | None = None
    top: Annotated[int, Parameter(alias="-t")] = 0
    contamination: Annotated[float, Parameter(validator=Number(gte=0, lt=1))] = 0.01
    explain: Flag = False
    samples: Positive = 1
    drop: Repeated = ()
    condition: FilePath | None = None
    exactly: Flag = False
    json: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Options of `sample`.

    Args:
        rows: Number of rows, pictures or clips to draw; by default 1000 rows, 64 pictures or 4 clips.
        out: File to write. For a table the suffix determines its type, and - stands for CSV on standard output. For pictures
            .png gives a grid, and .npy or .npz an array. For clips .gif shows them side by side, and .png their frames.
        temperature: Factor by which the latent codes of pictures are multiplied; below 1 the pictures are more typical.
        label: Class of the pictures, by number or name; by default all classes in turn.
        condition: Pictures that are given to a conditional model, in turn; or whole pictures whose parts are given.
        given: First frames of the clips to draw, for a model of clips: an array (N, T, H, W), or (T, H, W) for one clip, a
            GIF, or a folder of GIFs.
        frames: Number of frames to draw for each clip, after those given; by default the number of frames of the clips that the
            model was fitted to.
        nearest: Folder, array or data set of pictures; the nearest of its training pictures is shown below each sample.
        where: Conditions on columns of a table, such as "city=Berlin|Paris, age=30..40, height>=180, note=missing"; can be
            repeated. A name or a label with a comma is written in double quotes. Models of the system any-order condition on
            the values that are given exactly, and models of the system inn on those of all observed columns; other models draw
            rows until they meet the conditions.
        extrapolate: Allow values outside the ranges of the table that the model was fitted to; by default such rows are drawn
            again.
        escape_formulas: Write a single quote before each name or text of a CSV file that a spreadsheet would run as a formula.
    """

    rows: Annotated[Positive | None, Parameter(name=("--rows", "-n"))] = None
    out: OutPath = "-"
    temperature: Annotated[float, Parameter(validator=Number(gte=0))] = 1.0
    label: str | None = None
    condition: FilePath | None = None
    given: FilePath | None = None
    frames: Positive | None = None
    nearest: FilePath | None = None
    where: Repeated = ()
    extrapolate: Flag = False
    escape_formulas: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ImputeOptions:
    """Options of `impute`.

    Args:
        out: Table to write; the suffix determines its type, and - stands for CSV on standard output.
        draws: Number of draws of each row; with more than one, the rows stand below each other, and a first column `draw`
            counts the draws.
        point: Write the mean of each missing number and the likeliest label instead of draws.
        escape_formulas: Write a single quote before each name or text of a CSV file that a spreadsheet would run as a formula.
    """

    out: OutPath = "-"
    draws: Positive = 1
    point: Flag = False
    escape_formulas: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ClassifyOptions:
    """Options of `classify`.

    Args:
        column: Column of labels to predict; by default the one that was given to `fit` with --label.
        out: Table to write; the suffix determines its type, and - stands for CSV on standard output.
        escape_formulas: Write a single quote before each name or text of a CSV file that a spreadsheet would run as a formula.
    """

    column: str | None = None
    out: OutPath = "-"
    escape_formulas: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of `report`.

    Args:
        out: HTML file to write.
        drop: Name of a column of the table to leave out; can be repeated.
        title: Title of the page; by default the name of the table or of the pictures.
        baselines: Whether to fit simple densities, whose scores are shown beside the score of the model.
        condition: Pictures that are given with the pictures, one for each, if they are not a part of these.
        constants: Measure the realised bi-Lipschitz constants of the flow at rows of a table, between standardised numbers and
            latent codes.
        json: Print the summary as one JSON object.
    """

    out: OutPath = "report.html"
    drop: Repeated = ()
    title: str | None = None
    baselines: bool = True
    condition: FilePath | None = None
    constants: Flag = False
    json: Flag = False


if TYPE_CHECKING:
    from ..tables.hints import Hint, Reading
    from ..training.config import TrainConfig as TrainOptions
else:
    # The fields of TrainConfig without those of MachineOptions; the help text is the first sentence of each in its docstring.
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
            namespace={"__doc__": "Options for training.", "__module__": __name__},
        )
    )


@Parameter(name="*", group=_MACHINE)
@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """Options of every command that computes.

    Args:
        seed: Seed of all random numbers, below 2^63; the same seed gives the same result on the same machine.
        device: Device to compute on; auto uses a GPU if there is one.
        threads: Number of processor threads; more than one rarely makes models of tables faster.
        quiet: Print only errors.
        config: TOML file with options in a table for each command, such as [fit] with lr = 1e-3; flags and environment
            variables take precedence over it.
    """

    seed: Annotated[int, Parameter(validator=Number(gte=0, lt=2**63))] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Positive = 1
    quiet: Annotated[bool, Parameter(alias="-q", negative=())] = False
    config: str | None = None


def name_values(texts: Sequence[str], option: str, example: str) -> dict[str, str]:
    """Return NAME=VALUE texts as a dictionary.

    Args:
        texts: Texts of the form NAME=VALUE.
        option: Flag of the texts, for the error message.
        example: Example of a text, for the error message.

    Raises:
        UsageError: A text does not have this form.
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
    """Return a text as a value of a declared type; a text that does not fit is unchanged, and the system refuses it later."""
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
