"""`pushforward score`: the log-likelihood of every row."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import exactly
from ..evaluation import can_average, check_solver, mean_and_error
from ..tables import Table, write_table
from ..terminal import write_error, write_output
from .display import MEANING, aligned, joined, print_json, tell, value_text
from .files import require_table_suffix, require_writable
from .models import LoadedTable, open_model, row_scores, start
from .options import MachineOptions, ReadOptions
from .problems import UsageError
from .summary import impossible_text

Array = np.ndarray[Any, np.dtype[Any]]


def score_table(
    model_path: str,
    table_path: str,
    out: str | None,
    top: int,
    samples: int,
    drop: Sequence[str],
    reading: ReadOptions,
    machine: MachineOptions,
    *,
    solved: bool,
    json: bool,
) -> int:
    """Score a table, write the scores, list the least likely rows, summarise.

    Raises:
        FlowError: see the package for the exit codes.
    """
    target = "-" if out is None and top == 0 and not json else out
    require_score_options(target, top, [model_path, table_path], json=json)
    loaded = open_model(model_path, start(machine))
    table = loaded.read(table_path, drop, reading)
    rows = loaded.schema.encode(table)
    if solved:
        loaded = dataclasses.replace(loaded, model=exactly(loaded.model))
    log_prob = row_scores(loaded.model, rows, machine.seed, samples)
    if target is not None:
        write_table(Table(("log_prob",), (log_prob,)), target)
    least = np.argsort(log_prob, kind="stable")[:top]
    if top and not json:
        text = least_likely_text(table, log_prob, least, _width())
        (write_error if target == "-" else write_output)(text)
    _summarise(loaded, log_prob, samples, machine)
    solver = None if machine.quiet else check_solver(loaded.model, rows)
    if solver is not None:
        tell(f"{solver.sentence}; --exactly solves it so")
    if json:
        print_json(_record(model_path, table_path, loaded, table, log_prob, least, samples))
    elif target not in (None, "-"):
        tell(f"wrote {target}", quiet=machine.quiet)
    return 0


def require_score_options(out: str | None, top: int, inputs: Sequence[str], *, json: bool) -> None:
    """Refuse options of `score` that do not make sense, and an output that cannot be written.

    Raises:
        UsageError: naming the option.
        FileError: the output cannot be written.
    """
    if top < 0:
        raise UsageError(f"expected --top to be a number from 0, got {top}")
    if json and out == "-":
        raise UsageError("--json and --out - both want the standard output; give --out a file")
    if out is not None:
        require_table_suffix(out, "--out")
        require_writable(out, "--out", inputs)


def least_likely_text(table: Table, log_prob: Array, rows: Array, width: int) -> str:
    """Rows with their numbers, from 1, their scores and as many of their values as fit into a width."""
    lines = [("row", "log_prob", *table.names)]
    for row in rows:
        lines.append((str(row + 1), f"{log_prob[row]:.4g}", *(value_text(column[row]) for column in table.columns)))
    used, shown = 0, 0
    for column in zip(*lines, strict=True):
        used += 2 + max(map(len, column))
        if used > width and shown >= 3:
            break
        shown += 1
    left = len(table.names) + 2 - shown
    more = (
        f"\n  and {left} more column{'s' if left > 1 else ''}; a wider terminal, or a pipe, shows them" if left else ""
    )
    return aligned([line[:shown] for line in lines], right=range(shown)) + more


def _width() -> int:
    """Of the terminal; unlimited where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else sys.maxsize


def _summarise(loaded: LoadedTable, log_prob: Array, samples: int, machine: MachineOptions) -> None:
    exactness = loaded.model.exactness
    possible = log_prob[np.isfinite(log_prob)]
    mean, error = mean_and_error(possible)
    meaning = MEANING[exactness.symbol]
    if can_average(exactness):
        averaged = f"average of {samples} draws" if samples > 1 else "one draw; --samples averages several"
        meaning += f" ({averaged})"
    elif samples > 1:
        meaning += "; --samples makes no difference"
    tell(
        f"{len(log_prob):,} rows: {exactness.symbol} {joined(mean, error)} nats per row, {meaning}",
        quiet=machine.quiet,
    )
    if len(possible) < len(log_prob):
        text = impossible_text(len(log_prob) - len(possible), len(log_prob))
        tell(f"{text}; the mean is over the others", quiet=machine.quiet)


def _record(
    model_path: str,
    table_path: str,
    loaded: LoadedTable,
    table: Table,
    log_prob: Array,
    least: Array,
    samples: int,
) -> dict[str, Any]:
    possible = log_prob[np.isfinite(log_prob)]
    mean, error = mean_and_error(possible)
    rows = [
        {
            "row": int(row) + 1,
            "log_prob": log_prob[row],
            "values": {name: column[row] for name, column in zip(table.names, table.columns, strict=True)},
        }
        for row in least
    ]
    return {
        "model": model_path,
        "table": table_path,
        "system": loaded.system,
        "rows": len(log_prob),
        "mean": mean,
        "standard_error": error,
        "impossible": len(log_prob) - len(possible),
        "symbol": loaded.model.exactness.symbol,
        "samples": samples if can_average(loaded.model.exactness) else 1,
        "least_likely": rows,
    }
