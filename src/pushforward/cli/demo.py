"""Command `pushforward demo`: the main commands on real data, as a person would type them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError, FileError
from ..tables import Table, write_table
from .console import Terminal
from .options import MachineOptions
from .task import start

STORY = """\
The data are 569 breast tumours of the Wisconsin study (Street, Wolberg, Mangasarian 1993): eight measurements of cell
nuclei in images, and the diagnosis. How likely is each tumour, and which tumours are unlike all others?
"""


def run_demo(out: str, machine: MachineOptions, run: Callable[[Sequence[str]], int | None]) -> int:
    """Write the table, then run fit, score, sample and report, and print each command before it runs.

    Args:
        out: Folder to write to.
        machine: Options for every command.
        run: Function that runs a command and returns its exit code.

    Raises:
        FlowError: The folder cannot be written, or scikit-learn is not installed.
    """
    terminal = Terminal(quiet=machine.quiet)
    start(machine)
    folder = Path(out)
    table, model = folder / "table.csv", folder / "table.flow"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Path(f"{model}.checkpoint").unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"{out} cannot be written: {(error.strerror or str(error)).lower()}") from None
    write_table(tumours(), table)
    terminal.tell(STORY)
    common = _flags(machine)
    for command in (
        ["fit", table, "--flow", "nsf", "--layers", 3, "--hidden", 32, "--test", 0.2, "--out", model],
        ["score", model, table, "--out", folder / "scores.csv", "--top", 5],
        ["sample", model, "-n", 1000, "--out", folder / "new.csv"],
        ["report", model, table, "--title", "Breast tumours", "--out", folder / "report.html"],
    ):
        words = [*map(str, command), *common]
        terminal.tell(f"$ {shlex.join(['pushforward', *words])}")
        code = run(words)
        if code:
            return int(code)
        terminal.tell("")
    terminal.show(f"the report is {os.path.abspath(folder / 'report.html')}")
    return 0


def tumours() -> Table:
    """Return the columns of means, and the diagnosis, of the breast cancer table that comes with scikit-learn.

    The two columns about concavity are left out, because they contain many exact zeros, at which a density can grow without
    limit.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError:
        raise DataError("the demo's data need scikit-learn: pip install 'pushforward[sklearn]'") from None
    data = load_breast_cancer()
    columns = {
        str(name).removeprefix("mean ").replace(" ", "_"): data.data[:, i]
        for i, name in enumerate(data.feature_names)
        if str(name).startswith("mean ") and "concav" not in str(name)
    }
    columns["diagnosis"] = np.array(data.target_names, dtype=object)[data.target]
    return Table(tuple(columns), tuple(columns.values()))


def _flags(machine: MachineOptions) -> list[str]:
    """Return the options of the machine that are not the default, as flags."""
    flags = [] if machine.seed == 0 else ["--seed", str(machine.seed)]
    flags += [] if machine.device == "auto" else ["--device", machine.device]
    flags += [] if machine.threads == 1 else ["--threads", str(machine.threads)]
    return flags + (["--quiet"] if machine.quiet else [])
