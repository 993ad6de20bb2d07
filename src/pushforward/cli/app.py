"""The commands and their options. Their bodies live in modules that import torch, and are imported when they run."""

from __future__ import annotations

from dataclasses import is_dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, get_type_hints

from cyclopts import App, Parameter
from cyclopts.argument import ArgumentCollection
from cyclopts.config import Env

from .. import __version__
from ..dataclass_source import argument_texts
from ..errors import DataError
from .options import (
    FilePath,
    Flag,
    ImageOptions,
    MachineOptions,
    OutPath,
    OutputOptions,
    Port,
    Positive,
    ReadOptions,
    Repeated,
    ReportOptions,
    SampleOptions,
    ScoreOptions,
    SystemOptions,
    TableOptions,
    TrainOptions,
)

if TYPE_CHECKING:
    from .task import Task, TrainedModel

_HELP = """Learn the distribution of a table, or of pictures, with a normalizing flow; score, sample, edit and report on it.

Options also come from the environment, such as PUSHFORWARD_FIT_LR=1e-3, and from a file that --config names.
PUSHFORWARD_DEBUG=1, or --debug, shows where an error came from. "-" is standard input or output.
"""


def _shown(default: object) -> str | None:
    """Text of a default in the help; None for those that only mean "not given"."""
    return None if default in (False, (), None) else str(default)


def _from_file(app_: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Add the options of the file that `--config` names, a step in how cyclopts collects arguments."""
    path = next((a.tokens[0].value for a in arguments if a.name == "--config" and a.tokens), None)
    if path is not None:
        from .options_file import options_from_file

        options_from_file(path, app, app_, commands, arguments)


class _Commands(App):
    """The commands, whose help has the texts in docstrings: cyclopts would parse the whole source file for each class."""

    def assemble_argument_collection(
        self, *, default_parameter: Parameter | None = None, parse_docstring: bool = False
    ) -> ArgumentCollection:
        """Return the arguments of the command, with their texts if these are wanted."""
        found = super().assemble_argument_collection(default_parameter=default_parameter)
        if parse_docstring and self.default_command is not None:
            options = [hint for hint in get_type_hints(self.default_command).values() if is_dataclass(hint)]
            docs = [cleandoc(part.__doc__ or "") for part in (*options, self.default_command)]
            texts = {name: text for doc in docs for name, text in argument_texts(doc).items()}
            for argument in found:
                text = Parameter(help=texts.get(argument.field_info.name))
                argument.parameter = Parameter.combine(text, argument.parameter)
        return found


app = _Commands(
    name="pushforward",
    help=_HELP,
    version=__version__,
    help_format="plaintext",
    config=[Env("PUSHFORWARD_", show=False), _from_file],
    default_parameter=Parameter(show_env_var=False, show_default=_shown),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def _task_of_source(source: str) -> type[Task]:
    """Return the task for the data of a source: the first that reads it; a table's reader names the types of files."""
    from .table_task import TableTask

    if TableTask.reads(source):
        return TableTask
    from .picture_task import PictureTask

    return PictureTask if PictureTask.reads(source) else TableTask


def _trained_by(model: str, source: str | None = None) -> type[TrainedModel]:
    """Return the class of a model file: that of the first task that owns it; a table's says what else it is.

    Args:
        model: The file.
        source: Data that the model is asked about.

    Raises:
        FileError: It is no model file.
        DataError: The model is one of a table, and the source holds pictures.
    """
    from ..model_header import inspect_file
    from .picture_task import PictureTask
    from .table_task import TableTask
    from .task import require_alone

    require_alone()
    description = inspect_file(model)
    owner = next((task for task in (TableTask, PictureTask) if task.owns(description)), TableTask)
    if owner is TableTask and source is not None and PictureTask.holds(source):
        raise DataError(f"expected a table for {model}, a model of one, got pictures in {source}")
    return owner.trained()


@app.command(sort_key=1, usage="Usage: pushforward fit [OPTIONS] SOURCE")
def fit(
    source: FilePath,
    /,
    *,
    output: OutputOptions = OutputOptions(),  # noqa: B008  (frozen)
    system: SystemOptions = SystemOptions(),  # noqa: B008
    columns: TableOptions = TableOptions(),  # noqa: B008
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    images: ImageOptions = ImageOptions(),  # noqa: B008
    training: TrainOptions = TrainOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Learn a table or pictures: train a flow, score what it has not seen, and write one model file.

    Args:
        source: Table: .csv .tsv .txt .xlsx .json .jsonl .parquet .arrow .feather .npy .npz, or - for CSV on standard input.
            Pictures: a folder, an .npy or .npz array, or digits, mnist, fashion-mnist, cifar10, cifar10-4k.
    """
    output = output.named_after(source)
    from .fitting import fit as run
    from .task import FitOptions

    options = FitOptions(
        output=output,
        system=system,
        columns=columns,
        reading=reading,
        images=images,
        training=training,
        machine=machine,
    )
    return run(_task_of_source(source), source, options)


@app.command(sort_key=1, usage="Usage: pushforward schema [OPTIONS] TABLE")
def schema(
    table: FilePath,
    /,
    *,
    out: OutPath | None = None,
    columns: TableOptions = TableOptions(),  # noqa: B008
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    json: Flag = False,
) -> int:
    """Print what the columns of a table are, without training; the TOML file can be edited and given to `fit --schema`.

    Args:
        table: Table, as for `fit`.
        out: TOML file to write; by default nothing is written.
        json: Print the columns as one JSON object.
    """
    from .table_schema import show_schema

    return show_schema(table, out, columns, reading, json=json)


@app.command(sort_key=2, usage="Usage: pushforward score [OPTIONS] MODEL TABLE")
def score(
    model: FilePath,
    table: FilePath,
    /,
    *,
    options: ScoreOptions = ScoreOptions(),  # noqa: B008
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Write the log-likelihood of every row of a table, in nats and in the table's own units; of pictures, bits per dimension.

    Args:
        model: Model file that `fit` wrote.
        table: Table with the model's columns, in any order; or pictures, of which the test part is scored where there is one.
    """
    from .scoring import score as run

    return run(_trained_by(model, table), model, table, options, reading, machine)


@app.command(sort_key=3, usage="Usage: pushforward sample [OPTIONS] MODEL")
def sample(
    model: FilePath,
    /,
    *,
    options: SampleOptions = SampleOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Draw new rows, or pictures: a table of the same columns and types, or a grid. The same seed gives the same bytes.

    Args:
        model: Model file that `fit` wrote.
    """
    from .scoring import sample as run

    return run(_trained_by(model), model, options, machine)


@app.command(sort_key=4)
def interpolate(
    model: FilePath,
    a: FilePath,
    b: FilePath,
    /,
    *,
    steps: Positive = 9,
    out: OutPath,
    linear: Flag = False,
    label: str | None = None,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Draw a strip of pictures on the way from one to another in the latent space.

    Args:
        model: Model of pictures that `fit` wrote.
        a: First picture.
        b: Last picture.
        steps: Number of pictures in the strip, both included.
        out: File to write: .png for the strip, .npy or .npz for the array.
        linear: Go along a straight line instead of the sphere.
        label: Class of the pictures, for a model by class.
    """
    from .picture_editing import interpolate_pictures

    return interpolate_pictures(model, a, b, steps, out, label, machine, linear=linear)


@app.command(sort_key=5)
def edit(
    model: FilePath,
    source: FilePath,
    /,
    *,
    attribute: str,
    strength: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-2..2",
    steps: Positive = 5,
    rows: Positive = 8,
    out: OutPath,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Move pictures along an attribute: the mean code of pictures that have it minus that of those that do not.

    Args:
        model: Model of pictures that `fit` wrote.
        source: Pictures with attributes; the training part gives the direction, pictures of the test part are moved.
        attribute: NAME of an attribute with two values, whose higher value is meant, or NAME=VALUE.
        strength: Range LOW..HIGH of the multiples of the direction.
        steps: Number of strengths in that range, both ends included: the columns of the grid.
        rows: Number of pictures to move: the rows of the grid.
        out: File to write: .png for the grid, .npy or .npz for the array.
    """
    from .picture_editing import edit_pictures

    return edit_pictures(model, source, attribute, strength, steps, rows, out, machine)


@app.command(sort_key=6)
def resample(
    model: FilePath,
    source: FilePath,
    /,
    *,
    keep: Positive = 1,
    rows: Positive = 8,
    columns: Positive = 8,
    out: OutPath,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Keep the coarsest latent codes of pictures and draw the finer ones anew, to show what each scale determines.

    Args:
        model: Model of pictures that `fit` wrote.
        source: Pictures; those of the test part are taken where there is one.
        keep: Number of codes to keep.
        rows: Number of pictures.
        columns: Number of columns of the grid: the picture itself, then new ones.
        out: File to write: .png for the grid, .npy or .npz for the array.
    """
    from .picture_editing import resample_pictures

    return resample_pictures(model, source, keep, rows, columns, out, machine)


@app.command(sort_key=7, usage="Usage: pushforward report [OPTIONS] MODEL TABLE")
def report(
    model: FilePath,
    table: FilePath,
    /,
    *,
    options: ReportOptions = ReportOptions(),  # noqa: B008
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Write one self-contained HTML page about a model: scores, samples beside data, tests, the least likely rows or pictures.

    Args:
        model: Model file that `fit` wrote.
        table: Table, or pictures, that the model was fitted to, of which the held-out part is used; or others, which are all
            used.
    """
    from .scoring import report as run

    return run(_trained_by(model, table), model, table, options, reading, machine)


@app.command(sort_key=7, usage="Usage: pushforward compare [OPTIONS] FIRST SECOND")
def compare(
    first: FilePath,
    second: FilePath,
    /,
    *,
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    seed: int = 0,
    json: Flag = False,
) -> int:
    """Compare two tables of the same columns: drift of data, or fidelity and privacy of samples.

    Args:
        first: Table, such as the data.
        second: Table, such as newer data, or samples.
        seed: Seed of the classifier.
        json: Print everything as one JSON object.
    """
    from .comparing import compare as run

    return run(first, second, reading, seed, json=json)


@app.command(sort_key=7.5, usage="Usage: pushforward explore [OPTIONS] MODEL [TABLE]")
def explore(
    model: FilePath,
    table: FilePath | None = None,
    /,
    *,
    port: Port | None = None,
    browser: bool = False,
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Serve a web page on this machine: plots, samples under conditions, scores of rows that you type; Ctrl-C ends it.

    Args:
        model: Model file that `fit` wrote.
        table: For a model of a table, the table to show beside samples, and whose least likely rows are listed.
        port: Port of the page; by default a free one.
        browser: Open the page in a browser; otherwise its address is only printed.
    """
    from .exploring import explore_model

    return explore_model(_trained_by(model, table), model, table, port, reading, machine, browser=browser)


@app.command(sort_key=8)
def inspect(model: FilePath, /, *, json: Flag = False) -> int:
    """Print what a model file is, how it was trained and how it scored, without reading its weights.

    Args:
        model: Model file that `fit` wrote.
        json: Print everything as one JSON object.
    """
    from .model_inspection import inspect_model

    return inspect_model(model, json=json)


@app.command(sort_key=9)
def systems(name: str | None = None, /, *, json: Flag = False) -> int:
    """List the named systems; with a name, that system's arguments.

    Args:
        name: Name of a system.
        json: Print a JSON list, or object.
    """
    from .system_list import list_systems

    return list_systems(name, json=json)


@app.command(sort_key=10)
def compress(
    model: FilePath,
    /,
    *sources: FilePath,
    out: OutPath,
    rows: Positive | None = None,
    verify: bool = True,
    baselines: bool = True,
    json: Flag = False,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Keep pictures and arrays in an archive, without loss: integer and discrete flows behind an entropy coder.

    What the model cannot code is kept byte for byte: other channels, more bits, formats that are compressed already.

    Args:
        model: Exact and discrete model, such as idf, that `fit` wrote; it is needed again to decompress.
        sources: Pictures of any size, .npy arrays, or folders of them.
        out: Archive to write, usually .pfz.
        rows: Number of events in a block, which is read as a whole; by default about 131,000 numbers.
        verify: Decode the written archive and compare it with the files before it gets its name.
        baselines: Whether to show what PNG and lossless WebP need.
        json: Print the summary as one JSON object.
    """
    from .compressing import compress_files

    return compress_files(model, sources, out, rows, machine, verify=verify, baselines=baselines, json=json)


@app.command(sort_key=11)
def decompress(
    archive: FilePath,
    /,
    *,
    out: OutPath,
    model: FilePath | None = None,
    only: Repeated = (),
    json: Flag = False,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Restore what an archive holds, every pixel as it was, and checked; damaged items are named, and the others restored.

    Args:
        archive: Archive that `compress` wrote.
        out: Folder to restore to.
        model: Model file that the archive was written with; by default the file of its name, beside the archive or here.
        only: Name of an item to restore; repeated. Only its blocks are read.
        json: Print the summary as one JSON object.
    """
    from .compressing import decompress_file

    return decompress_file(archive, out, model, only, machine, json=json)


@app.command(sort_key=12)
def demo(*, out: OutPath = "demo-out", machine: MachineOptions = MachineOptions()) -> int:  # noqa: B008
    """Run the main job on real data: fit, score, sample and report; ends with the path of the report.

    Args:
        out: Folder to write to.
    """
    from .demo import run_demo

    return run_demo(out, machine, lambda words: app(words, exit_on_error=False, print_error=False))
