"""The commands and their options. Their bodies live in modules that import torch, and are imported when they run."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.config import Env

from .. import __version__
from .config import options_from_file
from .options import (
    FilePath,
    MachineOptions,
    OutPath,
    OutputOptions,
    Positive,
    Repeated,
    SystemOptions,
    TableOptions,
    TrainOptions,
)

_HELP = """Learn a table's distribution with a normalizing flow; score, sample and report on it.

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
    table: FilePath,
    /,
    *,
    output: OutputOptions,
    system: SystemOptions = SystemOptions(),  # noqa: B008  (frozen)
    columns: TableOptions = TableOptions(),  # noqa: B008
    training: TrainOptions = TrainOptions(),  # noqa: B008
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Learn a table: train a flow on its rows, score rows it has not seen, and write one model file.

    Args:
        table: .csv .tsv .parquet .arrow .feather .jsonl .npy .npz, or - for CSV on standard input.
        output: see `OutputOptions`.
        system: see `SystemOptions`.
        columns: see `TableOptions`.
        training: see `TrainOptions`.
        machine: see `MachineOptions`.
    """
    from .fitting import fit_table

    return fit_table(table, output, system, columns, training, machine)


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
    json: Json = False,
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Write the log-likelihood of every row of a table, in nats and in the table's own units.

    Args:
        model: written by `fit`.
        table: with the model's columns, in any order.
        out: table with one column, log_prob, in the order of the rows; - for standard output, the default without --top.
        top: list so many of the least likely rows, with their numbers (from 1) and values.
        samples: draws that are averaged for each row where log_prob is a lower bound; more make it tighter.
        drop: column of the table to leave out; repeated.
        json: print the summary as one JSON object.
        machine: see `MachineOptions`.
    """
    from .scoring import score_table

    return score_table(model, table, out, top, samples, drop, machine, json=json)


@app.command(sort_key=3)
def sample(
    model: FilePath,
    /,
    *,
    rows: Annotated[Positive, Parameter(name=("--rows", "-n"))] = 1000,
    out: OutPath = "-",
    machine: MachineOptions = MachineOptions(),  # noqa: B008
) -> int:
    """Draw new rows: a table of the same columns and types. The same seed gives the same bytes.

    Args:
        model: written by `fit`.
        rows: how many.
        out: table to write, its type by its suffix; - for CSV on standard output.
        machine: see `MachineOptions`.
    """
    from .sampling import sample_table

    return sample_table(model, rows, out, machine)


@app.command(sort_key=4)
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
        machine: see `MachineOptions`.
    """
    from .reporting import report_table

    return report_table(model, table, out, drop, title, machine, baselines=baselines, json=json)


@app.command(sort_key=5)
def inspect(model: FilePath, /, *, json: Json = False) -> int:
    """Say what a model file is, how it was trained and how it scored, without reading its weights.

    Args:
        model: written by `fit`.
        json: print everything as one JSON object.
    """
    from .describing import inspect_model

    return inspect_model(model, json=json)


@app.command(sort_key=6)
def systems(name: str | None = None, /, *, json: Json = False) -> int:
    """List the named systems; with a name, that system's arguments.

    Args:
        name: of a system.
        json: print a JSON list, or object.
    """
    from .describing import list_systems

    return list_systems(name, json=json)


@app.command(sort_key=7)
def demo(*, out: OutPath = "demo-out", machine: MachineOptions = MachineOptions()) -> int:  # noqa: B008
    """Run the main job on real data: fit, score, sample and report; ends with the path of the report.

    Args:
        out: folder to write to.
        machine: see `MachineOptions`.
    """
    from .demo import run_demo

    return run_demo(out, machine)
