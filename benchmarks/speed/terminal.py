"""One cell on the terminal."""

from __future__ import annotations

from .cases.flows import FLOOR
from .report import number, shown
from .results import Cell
from .words import size_of, title_of


def lines_of(case: str, cell: Cell) -> list[str]:
    """The cell's title, one line for each contender, and who was left out."""
    places = [title_of(cell.key[0]), *(f"({size_of(part)})" for part in cell.key[1:])]
    lines = [f"{case}: {', '.join(places)}"]
    for name, entry in cell.entries.items():
        text = f"  {title_of(name):24s} {shown(cell.ratio(name, cell.reference)):>22s} x {title_of(cell.reference)}"
        over = cell.ratio(name, FLOOR)
        if over is not None and cell.reference != FLOOR:
            text += f"   {number(over.median):>6s} x floor"
        extra = ", ".join(f"{key} {value:.3g}" for key, value in entry.extra.items())
        lines.append(text + (f"   {extra}" if extra else ""))
    return [*lines, *(f"  {title_of(name):24s} {reason}" for name, reason in cell.left_out.items())]
