"""What a person reads on the terminal: aligned columns, numbers with their errors, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..terminal import shown_in_line, write_data, write_error

MEANING = {
    "=": "exact",
    ">=": "a lower bound: the log-likelihood is at least this",
    "<=": "an upper bound: the log-likelihood is at most this",
    "~": "an estimate, close to the log-likelihood but not exact",
}
"""Of the symbols of `Exactness`."""
BITS_MEANING = {"=": "exact", "<=": "an upper bound", ">=": "a lower bound", "~": "an estimate"}
"""Of the symbols of `Bits`."""


def tell(text: str, *, quiet: bool = False) -> None:
    """A line on stderr."""
    if not quiet:
        write_error(text)


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: int = 2) -> str:
    """Rows of cells as lines with columns two blanks apart; control characters are shown as escapes.

    Args:
        rows: of equal length; the first is a heading or not, as its cells say.
        right: numbers of the columns that end, rather than begin, in line.
        indent: of every line.
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
    """A mean and '± error', with as many decimals as the error supports; None and NaN as a dash."""
    if mean is None or math.isnan(mean):
        return "-", ""
    if not math.isfinite(mean):
        return str(mean), ""
    if error is None or not math.isfinite(error):
        return f"{mean:+.2f}" if sign else f"{mean:.2f}", ""
    digits = 2 if error <= 0 else min(5, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:{'+' if sign else ''}.{digits}f}", f"± {error:.{digits}f}"


def joined(mean: float | None, error: float | None, *, sign: bool = False) -> str:
    """The same in one text."""
    return " ".join(estimate(mean, error, sign=sign)).strip()


def value_text(value: Any) -> str:
    """One value of a table."""
    if value is None or value != value:
        return "missing"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def duration(seconds: float) -> str:
    """Seconds as '12 s', '3.4 min' or '1.2 h'."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def finite(value: Any) -> Any:
    """Plain values in which numbers that are not finite, which JSON does not know, are null."""
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_json(value: Any) -> None:
    """One JSON object, or list, on stdout.

    Raises:
        FileError: standard output is closed, or cannot be written.
    """
    write_data(json.dumps(finite(value), ensure_ascii=False) + "\n", is_json=True)


def encodable(text: str) -> bool:
    """Whether a text is without the lone surrogates that stand for bytes of names that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """Return the name of a file as it can be printed anywhere: quoted and escaped where it has to be."""
    return name if name.isprintable() and encodable(name) else repr(name)
