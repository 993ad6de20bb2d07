"""Command `classify`: the probabilities of the labels of one column, given all other columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..evaluation.classes import calibration_error
from ..tables import Column, Table, read_table, write_table
from ..tables.classification import class_probabilities, column_of_classes
from ..tables.coding import to_values
from ..tables.table import table_from
from .console import Terminal
from .options import ClassifyOptions, MachineOptions, ReadOptions, UsageError
from .task import TrainedModel, start
from .trained_table import TrainedTable, require_table_output


def classify(
    kind: type[TrainedModel],
    path: str,
    source: str,
    options: ClassifyOptions,
    reading: ReadOptions,
    machine: MachineOptions,
) -> int:
    """Read a table, predict the label of each row, and write the labels and their probabilities."""
    if not issubclass(kind, TrainedTable):
        raise UsageError(f"classify is for models of tables, and {path} is a model of pictures")
    require_table_output(options.out, [path, source], escape_formulas=options.escape_formulas)
    terminal = Terminal(quiet=machine.quiet)
    trained = kind.open(path, start(machine))
    model, schema = trained.fitted.model, trained.fitted.schema
    at = column_of_classes(model, options.column)
    column = schema.columns[at]
    table = read_table(source, reading=reading.reading(schema.hints), **reading.limits())
    table = table.without([name for name in trained.dropped(table) if name != column.name])
    present = column.name in table.names
    encoded = schema.encode_rows(table if present else _with_gaps(table, column.name), gaps=True)
    known = encoded.rows[:, at] if present else np.full(table.n_rows, np.nan)
    # A gap in another column is no row of the model, unless that column had gaps in training.
    others = [i for i, other in enumerate(schema.columns) if i != at and not other.missing]
    bad = np.isnan(encoded.rows[:, others]).any(1)
    rows = np.where(np.isnan(encoded.rows) & bad[:, None], 0.0, encoded.rows)
    rows[:, at] = 0.0
    probabilities = class_probabilities(model, rows, at, machine.seed)
    unusable = bad | (encoded.bad & ~_only_about(encoded.notes, column.name, len(bad)))
    write_table(_scored(schema.columns[at], probabilities, unusable), options.out, formulas=not options.escape_formulas)
    usable = ~unusable & ~np.isnan(known)
    if usable.any():
        right = probabilities[usable].argmax(1) == known[usable]
        off = calibration_error(torch.from_numpy(probabilities[usable]), torch.from_numpy(known[usable]).long())
        terminal.tell(
            f"{right.mean():.1%} of {usable.sum():,} labels are predicted; the probabilities are off by {off:.3f} on average "
            "(expected calibration error)"
        )
    if unusable.any():
        rows_are = "row has" if unusable.sum() == 1 else "rows have"
        terminal.tell(f"{unusable.sum():,} {rows_are} an entry that cannot be used, and no prediction")
    if options.out != "-":
        terminal.tell(f"wrote {options.out}")
    return 0


def _with_gaps(table: Table, name: str) -> Table:
    """Return a table with one more column, all of whose entries are missing."""
    columns = dict(zip(table.names, table.columns, strict=True))
    return table_from({**columns, name: np.full(table.n_rows, None, dtype=object)})


def _only_about(notes: Mapping[int, str], name: str, rows: int) -> np.ndarray:
    """Return the rows whose only fault is an entry of one column, such as a label that was not in training."""
    found = np.zeros(rows, dtype=bool)
    for row, note in notes.items():
        found[row] = note.startswith(f"{name} ") and ";" not in note
    return found


def _scored(column: Column, probabilities: np.ndarray, unusable: np.ndarray) -> Table:
    """Return the table of row numbers, predicted labels, and the probability of each label."""
    guess = np.where(unusable, np.nan, probabilities.argmax(1).astype(np.float64))
    name = column.name
    columns: dict[str, np.ndarray] = {"row": np.arange(1, len(guess) + 1), name: to_values(column, guess)}
    for k, label in enumerate(column.categories):
        columns[f"p({label})"] = np.where(unusable, np.nan, probabilities[:, k])
    return Table(tuple(columns), tuple(columns.values()))
