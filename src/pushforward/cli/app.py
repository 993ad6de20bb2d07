"""Commands and their options. The code that runs a command is in other modules, which are imported only when it runs."""

from __future__ import annotations

from dataclasses import is_dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, get_type_hints

from cyclopts import App, Parameter
from cyclopts.argument import ArgumentCollection
from cyclopts.config import Env
from cyclopts.validators import Number

from .. import __version__
from ..dataclass_source import argument_texts
from ..errors import DataError
from .options import (
    ClassifyOptions,
    FilePath,
    Flag,
    ImageOptions,
    ImputeOptions,
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

_HELP = """Fit a normalizing flow to a table or to pictures; then score data, draw samples, edit pictures and write a report.

Options can also be set by environment variables, such as PUSHFORWARD_FIT_LR=1e-3, and in a file given by --config.
With --debug, or PUSHFORWARD_DEBUG=1, an error shows its traceback. The file name - stands for standard input or output.
"""


def _shown(default: object) -> str | None:
    """Return the text of a default value in the help; None for a default that only means "not given"."""
    return None if default in (False, (), None) else str(default)


def _from_file(app_: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Add the options of the file given by `--config`; cyclopts calls this while it collects the arguments."""
    path = next((a.tokens[0].value for a in arguments if a.name == "--config" and a.tokens), None)
    if path is not None:
        from .options_file import options_from_file

        options_from_file(path, app, app_, commands, arguments)


class _Commands(App):
    """Application whose help texts come from docstrings.

    Cyclopts could find these texts itself, but it would parse a whole source file for each class, which is slow.
    """

    def assemble_argument_collection(
        self, *, default_parameter: Parameter | None = None, parse_docstring: bool = False
    ) -> ArgumentCollection:
        """Return the arguments of the command, with their help texts if `parse_docstring` is set."""
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


def _task_of_source(source: str, flow: str | None = None) -> type[Task]:
    """Return the task for a source: that of clips for a flow of clips; otherwise the first task that can read the source.

    If no task can read it, the task of tables lists the types of files.
    """
    from .table_task import TableTask

    is_table = TableTask.reads(source)
    if is_table and flow is None:
        return TableTask
    from .clip_task import ClipTask

    if ClipTask.fits(source, flow):
        return ClipTask
    if is_table:
        return TableTask
    from .picture_task import PictureTask

    return PictureTask if PictureTask.reads(source) else TableTask


def _trained_by(model: str, source: str | None = None) -> type[TrainedModel]:
    """Return the class that handles a model file: a model of clips, of pictures or of a table.

    Args:
        model: Path of the model file.
        source: Data for the model, such as rows to score.

    Raises:
        FileError: The file is no model file.
        DataError: The model is a model of a table, and the source holds pictures.
    """
    from ..model_header import inspect_file
    from .clip_task import ClipTask
    from .picture_task import PictureTask
    from .table_task import TableTask
    from .task import require_alone

    require_alone()
    description = inspect_file(model)
    owner = next((task for task in (TableTask, PictureTask, ClipTask) if task.owns(description)), TableTask)
    if owner is TableTask and source is not None and PictureTask.holds(source):
        raise DataError(f"expected a table, because {model} is a model of a table, got pictures in {source}")
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
    """Train a flow on a table or on pictures, score it on held-out data, and write a model file.

    Args:
        source: A table or pictures. Table: .csv .tsv .txt .xlsx .json .jsonl .parquet .arrow .feather .npy .npz, or - for CSV
            on standard input. Pictures: a folder, an .npy or .npz array, or digits, mnist, fashion-mnist, cifar10, cifar10-4k.
            Clips, with --flow videoflow: an array (N, T, H, W) or (N, T, H, W, C), or a folder of animated GIFs.
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
    return run(_task_of_source(source, system.flow), source, options)


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
    """Print the kinds and the values of the columns of a table; with --out, write them to a TOML file for `fit --schema`.

    Args:
        table: Table of any type that `fit` reads.
        out: TOML file to write, which can be edited; by default no file is written.
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
    """Write the log-likelihood of every row or picture in nats, and print the mean (for pictures in bits per dimension).

    Args:
        model: Model file that `fit` wrote.
        table: Table with the same columns as the table of the model, in any order; or pictures, whose test part is scored if
            they have one.
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
    """Draw new rows or pictures from a model; the same seed gives the same result.

    Args:
        model: Model file that `fit` wrote.
    """
    from .scoring import sample as run

    return run(_trained_by(model), model, options, machine)


@app.command(sort_key=3.5, usage="Usage: pushforward impute [OPTIONS] MODEL TABLE")
def impute(
    model: FilePath,
    table: FilePath,
    /,
    *,
    options: ImputeOptions = ImputeOptions(),  # noqa: B008
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Fill in the missing values of a table, given the other entries of each row, which do not change.

    Args:
        model: Model of a table that `fit --flow any-order` wrote.
        table: Table with missing values; columns of the model that it does not have are added.
    """
    from .imputing import impute as run

    return run(_trained_by(model, table), model, table, options, reading, machine)


@app.command(sort_key=3.7, usage="Usage: pushforward classify [OPTIONS] MODEL TABLE")
def classify(
    model: FilePath,
    table: FilePath,
    /,
    *,
    options: ClassifyOptions = ClassifyOptions(),  # noqa: B008
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Predict the label of each row of a table, with the probability of each label, by Bayes' rule.

    Args:
        model: Model of a table that `fit` wrote.
        table: Table with the other columns of the model; labels in it are compared with the predictions.
    """
    from .classifying import classify as run

    return run(_trained_by(model, table), model, table, options, reading, machine)


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
    """Write a strip of pictures that change step by step from one picture to another, along a path in the latent space.

    Args:
        model: Model of pictures that `fit` wrote.
        a: File of the first picture.
        b: File of the last picture.
        steps: Number of pictures in the strip, with the first and the last.
        out: File to write: .png for the strip, .npy or .npz for the array.
        linear: Interpolate along a straight line instead of along a sphere.
        label: Class of the pictures, for a model that was fitted with --label.
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
    """Change an attribute of pictures: move their latent codes along the difference of the mean codes with and without it.

    Args:
        model: Model of pictures that `fit` wrote.
        source: Pictures with attributes. The direction is computed from the training part, and pictures of the test part are
            changed.
        attribute: Attribute: NAME for the higher one of its two values, or NAME=VALUE.
        strength: Range LOW..HIGH of the factors of the direction.
        steps: Number of factors in that range, with both ends; this is the number of columns of the grid.
        rows: Number of pictures to change; this is the number of rows of the grid.
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
    """Keep the coarsest latent codes of pictures and draw the finer ones again, to show which details each scale determines.

    Args:
        model: Model of pictures that `fit` wrote.
        source: Pictures; if they have a test part, only this part is used.
        keep: Number of codes to keep, counted from the coarsest.
        rows: Number of pictures; this is the number of rows of the grid.
        columns: Number of columns of the grid; the first has the picture itself, and the others have new pictures.
        out: File to write: .png for the grid, .npy or .npz for the array.
    """
    from .picture_editing import resample_pictures

    return resample_pictures(model, source, keep, rows, columns, out, machine)


@app.command(sort_key=6.2)
def colourise(
    model: FilePath,
    source: FilePath,
    /,
    *,
    draws: Positive = 6,
    temperature: Annotated[float, Parameter(validator=Number(gte=0))] = 1.0,
    out: OutPath,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Give colours to grey pictures of any size, several times, from a model that was fitted with --condition lightness.

    Args:
        model: Model of colours that `fit --condition lightness` wrote.
        source: Grey or colour picture, a folder or an array of pictures of one size; only their lightness is used.
        draws: Number of colourings of each picture; each is one draw from the model.
        temperature: Factor by which the latent codes are multiplied; below 1 the colours are more typical.
        out: File to write: .png for rows of the grey picture and its colourings, .npy or .npz for the array.
    """
    from .picture_conditions import colourise_pictures

    return colourise_pictures(model, source, draws, out, temperature, machine)


@app.command(sort_key=6.3)
def upscale(
    model: FilePath,
    source: FilePath,
    /,
    *,
    draws: Positive = 1,
    temperature: Annotated[float, Parameter(validator=Number(gte=0))] = 1.0,
    out: OutPath,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Enlarge pictures with details that are drawn from a model that was fitted with --condition smaller:2 (or another factor).

    Args:
        model: Model of pictures given smaller ones that `fit --condition smaller:2` wrote.
        source: Small picture, a folder or an array of them; larger ones are cut into tiles of the size that the model knows.
        draws: Number of enlarged versions of each picture.
        temperature: Factor by which the latent codes are multiplied; below 1 the details are more typical.
        out: File to write: .png for rows of the picture, enlarged by repetition, and its versions; .npy or .npz for the array.
    """
    from .picture_conditions import upscale_pictures

    return upscale_pictures(model, source, draws, out, temperature, machine)


@app.command(sort_key=6.4)
def restyle(
    model: FilePath,
    source: FilePath,
    /,
    *,
    condition: FilePath | None = None,
    rows: Positive = 8,
    out: OutPath,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Keep the latent codes of pictures, and change their class or condition: the style stays, and the content changes.

    Args:
        model: Model of pictures that `fit` wrote with --label or --condition.
        source: Pictures; if they have a test part, only this part is used.
        condition: Pictures that are given with the pictures, one for each, if they are not a part of these.
        rows: Number of pictures; this is the number of rows of the grid. Each row has the picture, then one column for each
            class, or for the condition of each picture.
        out: File to write: .png for the grid, .npy or .npz for the array.
    """
    from .picture_conditions import restyle_pictures

    return restyle_pictures(model, source, condition, rows, out, machine)


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
    """Write an HTML page about a model: scores, samples beside data, tests, and the least likely rows or pictures.

    Args:
        model: Model file that `fit` wrote.
        table: Table or pictures. If the model was fitted to them, only the held-out part is used; otherwise all of them are
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
    """Compare two tables with the same columns, to find drift of data, or to check fidelity and privacy of samples.

    Args:
        first: First table, such as the original data.
        second: Second table, such as newer data or samples.
        seed: Seed of the classifier and of the choice of rows.
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
    """Print the system, the training and the scores of a model file, without reading its weights.

    Args:
        model: Model file that `fit` wrote.
        json: Print everything as one JSON object.
    """
    from .model_inspection import inspect_model

    return inspect_model(model, json=json)


@app.command(sort_key=9)
def systems(name: str | None = None, /, *, json: Flag = False) -> int:
    """List all flows that can be fitted, or the arguments of one of them.

    Args:
        name: Name of a flow whose arguments are listed; by default all flows are listed.
        json: Print a JSON list of all flows, or a JSON object for one.
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
    """Compress pictures and arrays into an archive without loss, with an integer or discrete flow and an entropy coder.

    Files that the model cannot code, because of other channels, more bits or a compressed format, are stored byte for byte.

    Args:
        model: Model of an integer or discrete flow, such as idf, that `fit` wrote; it is also needed to decompress.
        sources: Pictures of any size, .npy arrays, or folders of them.
        out: Archive file to write, usually with the suffix .pfz.
        rows: Number of events in a block, the smallest part that can be read alone; by default about 131,000 numbers.
        verify: Decode the whole archive and compare it with the files before the archive is complete.
        baselines: Whether to show the sizes with PNG and lossless WebP.
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
    """Restore and check all pictures and arrays of an archive; if some items are damaged, the others are restored.

    Args:
        archive: Archive that `compress` wrote.
        out: Folder for the restored files.
        model: Model file that the archive was written with; by default the file of the same name beside the archive or in the
            current folder.
        only: Name of an item to restore, whose blocks alone are read; can be repeated.
        json: Print the summary as one JSON object.
    """
    from .compressing import decompress_file

    return decompress_file(archive, out, model, only, machine, json=json)


@app.command(sort_key=12)
def demo(*, out: OutPath = "demo-out", machine: MachineOptions = MachineOptions()) -> int:  # noqa: B008
    """Show the main commands on real data: fit, score, sample and report.

    Args:
        out: Folder for the files of the demonstration.
    """
    from .demo import run_demo

    return run_demo(out, machine, lambda words: app(words, exit_on_error=False, print_error=False))
