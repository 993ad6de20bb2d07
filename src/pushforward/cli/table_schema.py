"""Command `pushforward schema`: print the columns of a table, and write them to an editable file."""

from __future__ import annotations

from ..output import atomic_output, require_writable
from ..tables.describe import column_rows, schema_notes
from ..tables.schema_file import schema_text
from .console import Terminal
from .options import ReadOptions, TableOptions, UsageError
from .table_task import column_choices, read_chosen, schema_lines, schema_of


def show_schema(source: str, out: str | None, columns: TableOptions, reading: ReadOptions, *, json: bool) -> int:
    """Read a table, infer and print its columns, and write them to a schema file if one is given."""
    terminal = Terminal(json=json)
    if out == "-":
        raise UsageError("expected --out to be a file, got -; without --out the columns are printed")
    require_writable(out, "--out", [source])
    choices = column_choices(columns)
    table = read_chosen(source, choices, reading)
    schema = schema_of(table, choices, columns.max_labels, strict=reading.strict)
    encoded = schema.encode(table)
    notes = schema_notes(schema, table, encoded)
    text = "\n".join([f"{source}: {table.n_rows:,} rows", *schema_lines(schema, table, encoded)])
    names = ("name", "kind", "values", "missing")
    found = [dict(zip(names, row, strict=True)) for row in column_rows(schema, table, encoded)]
    terminal.conclude(text, {"table": source, "rows": table.n_rows, "columns": found, "notes": notes})
    if out is not None:
        with atomic_output(out) as temporary:
            temporary.write_text(schema_text(schema, notes), encoding="utf-8")
        terminal.tell(f"wrote {out}")
    return 0
