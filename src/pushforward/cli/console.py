"""Output on the terminal: lines on standard output and standard error, and numbers, tables and scores as text."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..terminal import shown_in_line, write_data, write_error, write_output

MEANING = {
    "=": "exact",
    ">=": "a lower bound: the log-likelihood is at least this",
    "<=": "an upper bound: the log-likelihood is at most this",
    "~": "an estimate, close to the log-likelihood but not exact",
}
"""Meaning of the symbols of `Exactness`."""
BITS_MEANING = {"=": "exact", "<=": "an upper bound", ">=": "a lower bound", "~": "an estimate"}
"""Meaning of the symbols of `Bits`."""
ENDINGS = {
    "converged": "all epochs done",
    "patience": "validation stopped improving",
    "limit": "limit of steps or time reached",
    "callback": "ended by a callback",
    "interrupted": "interrupted",
    "nonfinite": "the loss was no longer finite",
}
BITS_PARTS = {"test": "test {}", "validation": "validation {}, which also chose when to stop,"}
ROW_PARTS = {"test": "test rows", "validation": "validation rows, which also chose when to stop", "all": "rows"}


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """Output streams of a command.

    Args:
        quiet: Whether only errors and requested data are printed.
        json: Whether the result is printed as JSON.
    """

    quiet: bool = False
    json: bool = False

    def tell(self, text: str) -> None:
        """Print a line on standard error, unless quiet."""
        if not self.quiet:
            write_error(text)

    def warn(self, text: str) -> None:
        """Print a line on standard error, also when quiet."""
        write_error(text)

    def show(self, text: str, *, aside: bool = False) -> None:
        """Print requested text on standard output; with `aside` on standard error, if standard output is needed for data."""
        (write_error if aside else write_output)(text)

    def conclude(self, text: str, record: Any) -> None:
        """Print the result: its record as JSON if the option is set, otherwise its text, unless quiet."""
        if self.json:
            self.dump(record)
        elif not self.quiet:
            write_output(text)

    def dump(self, record: Any) -> None:
        """Print one JSON object, or list, on standard output.

        Raises:
            FileError: Standard output is closed, or cannot be written.
        """
        write_data(json.dumps(finite(record), ensure_ascii=False) + "\n", is_json=True)

    @property
    def width(self) -> int:
        """Number of characters in a line of standard output; practically unlimited if it is not a terminal."""
        return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else sys.maxsize


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: int = 2) -> str:
    """Return rows of cells as lines with two blanks between columns; control characters are shown as escapes.

    Args:
        rows: Rows with the same number of cells.
        right: Indices of the columns that are aligned on the right.
        indent: Number of blanks before each line.
    """
    from rich.cells import cell_len

    rows = [[shown_in_line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - cell_len(cell))
            cells.append(blanks + cell if i in right else cell + blanks)
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def estimate(mean: float | None, error: float | None, *, sign: bool = False) -> tuple[str, str]:
    """Return a mean and '± error' with two digits of the error; a mean that is None or NaN becomes a dash."""
    if mean is None or math.isnan(mean):
        return "-", ""
    if not math.isfinite(mean):
        return str(mean), ""
    if error is None or not math.isfinite(error):
        return f"{mean:+.2f}" if sign else f"{mean:.2f}", ""
    digits = 2 if error <= 0 else min(5, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:{'+' if sign else ''}.{digits}f}", f"± {error:.{digits}f}"


def joined(mean: float | None, error: float | None, *, sign: bool = False) -> str:
    """Return a mean and its error in one text, see `estimate`."""
    return " ".join(estimate(mean, error, sign=sign)).strip()


def value_text(value: Any) -> str:
    """Return one value of a table as text."""
    if value is None or value != value:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Return seconds as '12 s', '3.4 min' or '1.2 h'."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def finite(value: Any) -> Any:
    """Return plain values for JSON, with None in place of NaN and infinities, which JSON does not allow."""
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printable(name: str) -> str:
    """Return the name of a file as printable text, quoted and escaped if necessary."""
    return name if name.isprintable() else repr(name)


def score_text(system: str, scores: Mapping[str, Any]) -> str:
    """Return the held-out score of rows beside the scores of the baselines, as a table with an explanation."""
    rows = [[system, scores["symbol"], *estimate(scores["mean"], scores["standard_error"]), ""]]
    skipped = []
    for entry in scores["baselines"]:
        if "gain" not in entry:
            skipped.append(f"  {entry['name']}: {entry['note']}")
            continue
        gain = joined(entry["gain"], entry["gain_standard_error"], sign=True)
        rows.append([entry["name"], "", *estimate(entry["mean"], entry["standard_error"]), gain])
    rows.insert(0, ["", "", "", "nats per row", f"{system} is better by" if len(rows) > 1 else ""])
    lines = [
        f"log-likelihood of {scores['count']:,} {ROW_PARTS[scores['rows']]}, in the table's units ± standard error",
        "",
    ]
    lines += [aligned(rows, right=(2,)), ""]
    lines.append(f"  {scores['symbol']} is {MEANING[scores['symbol']]}")
    if scores.get("solver"):
        lines.append(f"  {scores['solver']['sentence']}")
    if scores["impossible"]:
        lines.append(f"  {impossible_text(scores['impossible'], scores['count'])}")
    if scores["baselines"]:
        lines.append(f"  baselines are fitted to the {scores['baseline_rows']:,} other rows; higher is better")
    elif scores["note"]:
        lines.append(f"  no baselines: {scores['note']}")
    return "\n".join(lines + skipped)


def bits_text(system: str, scores: Mapping[str, Any], noun: str = "pictures") -> str:
    """Return bits per dimension of held-out events, beside those of the baselines, as a table with an explanation."""
    value, error = estimate(scores["value"], scores["error"])
    rows = [["", "", "bits/dim", ""], [system, scores["symbol"], value, error]]
    rows += [[entry["name"], "=", f"{entry['value']:.4f}", ""] for entry in scores["baselines"]]
    lines = [
        f"bits per dimension of {scores['events']:,} {BITS_PARTS.get(scores['rows'], '{}').format(noun)} ± standard error, "
        "lower is better",
        "",
        aligned(rows, right=(2,)),
        "",
    ]
    text = f"  {scores['symbol']} is {BITS_MEANING[scores['symbol']]}"
    lines.append(text + (", from one draw of noise; score --samples tightens it" if scores["symbol"] == "<=" else ""))
    if scores["impossible"]:
        lines.append(f"  {scores['impossible']:,} {noun} of probability zero are left out")
    return "\n".join(lines)


def impossible_text(impossible: int, count: int) -> str:
    """Return a sentence about rows outside the support of the model."""
    rows = "row has" if impossible == 1 else "rows have"
    why = "a value cannot occur, or the row is too far from all training rows"
    return f"{impossible:,} of {count:,} {rows} probability zero: {why}"


def training_text(training: Mapping[str, Any]) -> str:
    """Return a summary of the training in one line; empty without a record."""
    if training.get("epochs") is None:
        return ""
    parts = [f"{training['epochs']:,} epochs in {duration(training['seconds'])}"]
    if training.get("best_epoch"):
        parts.append(f"best epoch {training['best_epoch']:,}")
    parts.append(ENDINGS.get(str(training.get("stopped")), str(training.get("stopped"))))
    return ", ".join(parts)
