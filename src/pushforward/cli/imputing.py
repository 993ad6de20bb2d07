"""Command `impute`: fill in the missing values of a table."""

from __future__ import annotations

from dataclasses import replace

from ..tables import read_table
from .console import Terminal
from .options import ImputeOptions, MachineOptions, ReadOptions, UsageError
from .task import TrainedModel, start
from .trained_table import TrainedTable, require_table_output


def impute(
    kind: type[TrainedModel],
    path: str,
    source: str,
    options: ImputeOptions,
    reading: ReadOptions,
    machine: MachineOptions,
) -> int:
    """Read a table, fill in its missing values given the other entries of each row, and write it."""
    if not issubclass(kind, TrainedTable):
        raise UsageError(f"impute is for models of tables, and {path} is another one")
    if options.point and options.draws > 1:
        raise UsageError("--point has no draws to count; give either --point or --draws")
    require_table_output(options.out, [path, source], escape_formulas=options.escape_formulas)
    trained = kind.open(path, start(machine))
    model = trained.fitted.any_order
    # An entry that cannot be read is an error here and not a missing value, because entries that are there must not change.
    entries = replace(reading.reading(model.schema.hints), strict=True)
    table = read_table(source, reading=entries, **reading.limits())
    trained.impute(table, options, machine.seed, Terminal(quiet=machine.quiet))
    return 0
