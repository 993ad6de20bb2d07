"""Command `pushforward compare`: the differences of two tables with the same columns."""

from __future__ import annotations

from dataclasses import asdict

from ..evaluation.table_comparison import TableComparison, compare_tables
from ..tables import infer_schema, read_table
from .console import Terminal, aligned, joined
from .options import ReadOptions

MOST_COLUMNS = 40
"""Largest number of columns that are shown, those with the largest distances first."""
MOST_COPIES = 0.2
"""Largest share of copies with which a classifier is useful: it recognises copies of the rows that it was fitted to."""


def compare(first: str, second: str, reading: ReadOptions, seed: int, *, json: bool) -> int:
    """Read two tables and print how they differ."""
    terminal = Terminal(json=json)
    table = read_table(first, reading=reading.reading({}), **reading.limits())
    schema = infer_schema(table, leave_out=True)
    other = read_table(second, reading=reading.reading(schema.hints), **reading.limits())
    found = compare_tables(schema, schema.encode(table), schema.encode_rows(other, extra="ignore"), seed)
    unknown = [name for name in other.names if name not in table.names]
    if unknown:
        terminal.tell(f"note: these columns of {second} are not in {first} and are left out: {', '.join(unknown)}")
    terminal.conclude(_text(first, second, found), {"first": first, "second": second, **asdict(found)})
    return 0


def _text(first: str, second: str, found: TableComparison) -> str:
    lines = [f"{first}: {found.rows[0]:,} rows, {second}: {found.rows[1]:,} rows", ""]
    order = sorted(found.columns, key=lambda column: -(column.distance if column.distance == column.distance else 1))
    rows = [("column", "distance", "by chance", "missing")]
    for column in order[:MOST_COLUMNS]:
        gaps = "" if max(column.missing) == 0 else f"{column.missing[0]:.0%} / {column.missing[1]:.0%}"
        rows.append((column.column, f"{column.distance:.3f}", f"{column.by_chance:.3f}", gaps))
    lines += [aligned(rows, right=(1, 2)), ""]
    if len(order) > MOST_COLUMNS:
        lines.append(f"  and {len(order) - MOST_COLUMNS:,} columns with smaller distances")
    lines.append("  a distance is 0 for equal distributions of a column and 1 for distributions that do not overlap")
    if found.correlation is not None:
        size, one, two = found.correlation
        lines.append(f"  largest difference of rank correlations: {size:.3f}, between {one} and {two}")
    if found.classifier is not None and found.copies > MOST_COPIES:
        lines.append("  there is no score of a classifier, because many rows are copies")
    elif found.classifier is not None:
        score = found.classifier
        lines.append(
            f"  a classifier tells the rows apart with AUC {joined(score.auc, score.auc_error)} (0.5 is guessing); for equal "
            f"distributions its accuracy would be as high with probability {score.p_value:.2g}"
        )
    near, own = found.nearest
    lines.append(f"  copies: {found.copies:.1%} of the rows of {second} are also in {first}")
    lines.append(
        f"  nearest rows: the median distance from a row of {second} to the nearest row of {first} is {near:.4f}; from a row "
        f"of {first} to the nearest other row of {first} it is {own:.4f}"
    )
    if found.unusable:
        lines.append(f"  {found.unusable:,} rows of {second} have entries that {first} cannot hold, and are left out")
    return "\n".join(lines)
