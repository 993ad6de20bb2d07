"""Command `classify`: the probabilities of the labels of one column, given all other columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..evaluation.classes import calibration_error
from ..tables import Column, Table, read_table, write_table
from ..tables.classification import class_probabilities, column_of_classes
from ..tables.coding import Findings, to_codes, to_values
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
        raise UsageError(f"classify is for models of tables, and {path} is another one")
    require_table_output(options.out, [path, source], escape_formulas=options.escape_formulas)
    terminal = Terminal(quiet=machine.quiet)
    trained = kind.open(path, start(machine))
    model, schema = trained.fitted.model, trained.fitted.schema
    at = column_of_classes(model, options.column)
    column = schema.columns[at]
    table = read_table(source, reading=reading.reading(schema.hints), **reading.limits())
    table = table.without([name for name in trained.dropped(table) if name != column.name])
    # The labels of the table are only compared with the predictions, so an unknown one does not make a row unusable.
    known = _known(column, table)
    encoded = schema.encode_rows(_blanked(table, column.name), gaps=True)
    # A gap in another column is no row of the model, unless that column had gaps in training.
    others = [i for i, other in enumerate(schema.columns) if i != at and not other.missing]
    unusable = encoded.bad | np.isnan(encoded.rows[:, others]).any(1)
    rows = np.where(np.isnan(encoded.rows) & unusable[:, None], 0.0, encoded.rows)
    rows[:, at] = 0.0
    probabilities = class_probabilities(model, rows, at, machine.seed)
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


def _known(column: Column, table: Table) -> np.ndarray:
    """Return the codes of the labels in a table, (N,); NaN for missing and unknown labels."""
    if column.name not in table.names:
        return np.full(table.n_rows, np.nan)
    findings = Findings(table.n_rows, strict=False)
    codes = to_codes(column, table[column.name], findings)
    return np.where(findings.bad, np.nan, codes)


def _blanked(table: Table, name: str) -> Table:
    """Return a table with all entries of one column missing; the column is added if there is none."""
    columns = dict(zip(table.names, table.columns, strict=True)) | {name: np.full(table.n_rows, None, dtype=object)}
    return replace(table, names=tuple(columns), columns=tuple(columns.values()))


def _scored(column: Column, probabilities: np.ndarray, unusable: np.ndarray) -> Table:
    """Return the table of row numbers, predicted labels, and the probability of each label."""
    guess = np.where(unusable, np.nan, probabilities.argmax(1).astype(np.float64))
    name = column.name
    columns: dict[str, np.ndarray] = {"row": np.arange(1, len(guess) + 1), name: to_values(column, guess)}
    for k, label in enumerate(column.categories):
        columns[f"p({label})"] = np.where(unusable, np.nan, probabilities[:, k])
    return Table(tuple(columns), tuple(columns.values()))
