"""The commands and their options. Their bodies live in modules that import torch, and are imported when they run."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.config import Env
from cyclopts.validators import Number

from .. import __version__
from .config import options_from_file
from .options import (
    FilePath,
    ImageOptions,
    MachineOptions,
    OutPath,
    OutputOptions,
    Positive,
    ReadOptions,
    Repeated,
    SystemOptions,
    TableOptions,
    TrainOptions,
)
from .problems import UsageError

_HELP = """Learn the distribution of a table, or of pictures, with a normalizing flow; score, sample, edit and report on it.

Options also come from the environment, such as PUSHFORWARD_FIT_LR=1e-3, and from a file that --config names.
PUSHFORWARD_DEBUG=1, or --debug, shows where an error came from. "-" is standard input or output.
"""


def _shown(default: object) -> str | None:
    """What help says of a default; nothing of those that only mean "not given"."""
    return None if default in (False, (), None) else str(default)


app = App(
    name="pushforward",
    help=_HELP,
    version=__version__,
    help_format="plaintext",
    config=[Env("PUSHFORWARD_", show=False), options_from_file],
    default_parameter=Parameter(show_env_var=False, show_default=_shown),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
Json = Annotated[bool, Parameter(negative=())]


@app.command(sort_key=1)
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
        source: table: .csv .tsv .parquet .arrow .feather .jsonl .npy .npz, or - for CSV on standard input. Pictures: a
            folder, an .npy or .npz array, or digits, mnist, fashion-mnist, cifar10, cifar10-4k.
        output: see `OutputOptions`.
        system: see `SystemOptions`.
        columns: see `TableOptions`.
        reading: see `ReadOptions`.
        images: see `ImageOptions`.
        training: see `TrainOptions`.
        machine: see `MachineOptions`.
    """
    from .files import with_model_file
    from .kinds import fits_pictures

    output = with_model_file(source, output)
    if fits_pictures(source):
        from .image_fitting import fit_images

        return fit_images(source, output, system, columns, images, training, machine)
    if images != ImageOptions():
        raise UsageError(
            f"--image-size, --tiles, --levels, --label, --flips and --grids are for pictures, and {source} is a table"
        )
    from .fitting import fit_table

    return fit_table(source, output, system, columns, reading, training, machine)


@app.command(sort_key=2)
def score(
    model: FilePath,
    table: FilePath,
    /,
    *,
    out: OutPath | None = None,
    top: Annotated[int, Parameter(alias="-t")] = 0,
    samples: Positive = 1,
    drop: Repeated = (),
    exactly: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Write the log-likelihood of every row of a table, in nats and in the table's own units; of pictures, bits per dimension.

    Args:
        model: written by `fit`.
        table: with the model's columns, in any order; or pictures, of which the test part is scored where there is one.
        out: table with one column, log_prob, in the order of the rows; - for standard output, the default without --top.
        top: list so many of the least likely rows, with their numbers (from 1) and values.
        samples: draws that are averaged for each row where log_prob is a lower bound; more make it tighter.
        drop: column of the table to leave out; repeated.
        exactly: of continuous and residual flows: with solvers, traces and series that are right to rounding, at several
            times the cost.
        json: print the summary as one JSON object.
        reading: see `ReadOptions`.
        machine: see `MachineOptions`.
    """
    from .kinds import asks_pictures

    if asks_pictures(model, table):
        from .image_scoring import score_pictures

        if exactly:
            raise UsageError("--exactly is for continuous and residual flows of tables; leave it out for pictures")
        if drop:
            raise UsageError("--drop is for the columns of tables; leave it out for pictures")
        return score_pictures(model, table, out, top, samples, machine, json=json)
    from .scoring import score_table

    return score_table(model, table, out, top, samples, drop, reading, machine, solved=exactly, json=json)


@app.command(sort_key=3)
def sample(
    model: FilePath,
    /,
    *,
    rows: Annotated[Positive | None, Parameter(name=("--rows", "-n"))] = None,
    out: OutPath = "-",
    temperature: Annotated[float, Parameter(validator=Number(gte=0))] = 1.0,
    label: str | None = None,
    nearest: FilePath | None = None,
    escape_formulas: Json = False,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Draw new rows, or pictures: a table of the same columns and types, or a grid. The same seed gives the same bytes.

    Args:
        model: written by `fit`.
        rows: how many; 1000 by default, 64 pictures.
        out: table to write, its type by its suffix, - for CSV on standard output; of pictures .png for a grid, .npy or
            .npz for the array.
        temperature: of pictures: what the latent codes are multiplied by.
        label: class of the pictures, by number or name; all in turn by default.
        nearest: pictures, of whose training part the nearest one is shown under each sample.
        escape_formulas: in CSV, write a single quote before names and texts that a spreadsheet would run as formulas.
        machine: see `MachineOptions`.
    """
    from .kinds import models_pictures

    if models_pictures(model):
        from .image_drawing import sample_pictures

        if escape_formulas:
            raise UsageError(f"--escape-formulas is for tables, and {model} is a model of pictures; leave it out")
        return sample_pictures(model, rows, out, temperature, label, nearest, machine)
    if temperature != 1 or label is not None or nearest is not None:
        raise UsageError(
            f"--temperature, --label and --nearest are for models of pictures, and {model} is one of a table"
        )
    from .sampling import sample_table

    return sample_table(model, 1000 if rows is None else rows, out, machine, formulas=not escape_formulas)


@app.command(sort_key=4)
def interpolate(
    model: FilePath,
    a: FilePath,
    b: FilePath,
    /,
    *,
    steps: Positive = 9,
    out: OutPath,
    linear: Json = False,
    label: str | None = None,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Draw a strip of pictures on the way from one to another in the latent space.

    Args:
        model: of pictures, written by `fit`.
        a: first picture.
        b: last picture.
        steps: pictures in the strip, both included.
        out: .png for the strip, .npy or .npz for the array.
        linear: whether along a straight line, and not on the sphere.
        label: class of the pictures, for a model by class.
        machine: see `MachineOptions`.
    """
    from .image_drawing import interpolate_pictures

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
        model: of pictures, written by `fit`.
        source: pictures with attributes; the training part gives the direction, pictures of the test part are moved.
        attribute: NAME of one with two values, of which the higher is meant, or NAME=VALUE.
        strength: LOW..HIGH, multiples of the direction.
        steps: strengths between them, both included: the columns of the grid.
        rows: pictures to move: the rows of the grid.
        out: .png for the grid, .npy or .npz for the array.
        machine: see `MachineOptions`.
    """
    from .image_drawing import edit_pictures

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
    """Keep the coarsest latent codes of pictures and draw the finer ones anew: what each scale is responsible for.

    Args:
        model: of pictures, written by `fit`.
        source: pictures; those of the test part are taken where there is one.
        keep: codes to keep.
        rows: pictures.
        columns: of the grid: the picture itself, then new ones.
        out: .png for the grid, .npy or .npz for the array.
        machine: see `MachineOptions`.
    """
    from .image_drawing import resample_pictures

    return resample_pictures(model, source, keep, rows, columns, out, machine)


@app.command(sort_key=7)
def report(
    model: FilePath,
    table: FilePath,
    /,
    *,
    out: OutPath = "report.html",
    drop: Repeated = (),
    title: str | None = None,
    baselines: bool = True,
    json: Json = False,
    reading: ReadOptions = ReadOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Write one self-contained HTML page about a model: scores, pictures, tests, the least likely rows.

    Args:
        model: written by `fit`.
        table: the one it was fitted to, of which the rows that were held out are used; of another one, all rows.
        out: the page.
        drop: column of the table to leave out; repeated.
        title: of the page; by default the table's name.
        baselines: whether to fit the simple densities that the score stands beside.
        json: print the summary as one JSON object.
        reading: see `ReadOptions`.
        machine: see `MachineOptions`.
    """
    from .kinds import refuse_pictures

    refuse_pictures(model, "report", "score, and look at samples with sample")
    from .reporting import report_table

    return report_table(model, table, out, drop, title, reading, machine, baselines=baselines, json=json)


@app.command(sort_key=8)
def inspect(model: FilePath, /, *, json: Json = False) -> int:
    """Say what a model file is, how it was trained and how it scored, without reading its weights.

    Args:
        model: written by `fit`.
        json: print everything as one JSON object.
    """
    from .describing import inspect_model

    return inspect_model(model, json=json)


@app.command(sort_key=9)
def systems(name: str | None = None, /, *, json: Json = False) -> int:
    """List the named systems; with a name, that system's arguments.

    Args:
        name: of a system.
        json: print a JSON list, or object.
    """
    from .describing import list_systems

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
    json: Json = False,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Keep pictures and arrays in an archive, without loss: integer and discrete flows behind an entropy coder.

    What the model cannot code is kept byte for byte: other channels, more bits, formats that are compressed already.

    Args:
        model: exact and discrete, such as idf, written by `fit`; it is needed again to decompress.
        sources: Pictures of any size, .npy arrays, or folders of them.
        out: the archive, usually .pfz.
        rows: Events in a block, which is read as a whole; by default about 131,000 numbers.
        verify: Decode the written archive and compare it with the files before it gets its name.
        baselines: whether to show what PNG and lossless WebP need.
        json: print the summary as one JSON object.
        machine: see `MachineOptions`; --threads blocks are coded at a time.
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
    json: Json = False,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Restore what an archive keeps, every pixel as it was, and checked; damage is named, and what is whole restored.

    Args:
        archive: written by `compress`.
        out: folder to restore to.
        model: that the archive was written with; by default the file of its name, beside the archive or here.
        only: name of an item to restore; repeated. Only its blocks are read.
        json: print the summary as one JSON object.
        machine: see `MachineOptions`.
    """
    from .compressing import decompress_file

    return decompress_file(archive, out, model, only, machine, json=json)


@app.command(sort_key=12)
def demo(*, out: OutPath = "demo-out", machine: MachineOptions = MachineOptions()) -> int:  # noqa: B008
    """Run the main job on real data: fit, score, sample and report; ends with the path of the report.

    Args:
        out: folder to write to.
        machine: see `MachineOptions`.
    """
    from .demo import run_demo

    return run_demo(out, machine)
