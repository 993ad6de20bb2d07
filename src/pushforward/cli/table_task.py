"""Task of tables: reading, splitting, inference of the columns, and scoring of held-out rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core import Distribution
from ..errors import DataError
from ..evaluation.held_out import Holdout, score_held_out, training_quantiles
from ..signals import Interrupted
from ..systems.picture_spec import PictureSpec
from ..systems.spec import Spec
from ..tables import Schema, Table, digest, infer_schema, models_labels, read_table
from ..tables.auto import AutoChoice, choose, fresh, improve, label_widths
from ..tables.describe import column_rows, schema_notes, sentences
from ..tables.formats import READ, suffix_of
from ..tables.numpy_files import array_dimensions
from ..tables.schema_file import ColumnChoices, read_choices
from ..training import FitResult
from ..training.parallel.processes import world_size
from .console import Terminal, aligned, score_text
from .options import ImageOptions, ReadOptions, TableOptions, UsageError, name_values
from .task import FitOptions, Task, TrainingRows, system_name

if TYPE_CHECKING:
    from .trained_table import TrainedTable

MOST_COLUMNS = 60
"""Largest number of columns of a schema that are shown."""
TABLE_FLOW, CURVED_FLOW = "nsf", "mixed"
"""Default systems for tables of numbers, and for tables with angles or positions."""


class TableTask(Task):
    """Task of fitting a model to the rows of a table."""

    noun = "rows"

    def __init__(self, source: str, options: FitOptions, terminal: Terminal) -> None:
        super().__init__(source, options, terminal)
        classes = options.images.label if options.system.flow == "flowgmm" else False
        if replace(options.images, label=False) != ImageOptions() or (options.images.label and not classes):
            raise UsageError(
                "--image-size, --tiles, --levels, --label, --flips and --grids are for pictures, "
                f"and {source} is a table"
            )
        self.automatic = options.system.flow is None
        self.system = options.system.flow or TABLE_FLOW
        known = Spec.registry.get(self.system)
        if known is not None and issubclass(known, PictureSpec):
            raise UsageError(
                f"{self.system} models pictures, not tables; give a folder of pictures, an array of them or the name of a "
                "data set"
            )
        self.arguments = options.system.arguments(self.system)
        if isinstance(classes, str):
            self.arguments = {**self.arguments, "label": classes}
        self.quick = options.system.quick
        self.label_hidden = options.system.label_widths()
        self.choices, self.shares = column_choices(options.columns), options.columns.shares()

    @classmethod
    def reads(cls, source: str) -> bool:
        """Return whether a source is standard input, or a file with the suffix of a table that holds no array of pictures."""
        known = source == "-" or suffix_of(source) in READ
        return known and not os.path.isdir(source) and array_dimensions(source) < 3

    @classmethod
    def owns(cls, model: Mapping[str, Any]) -> bool:
        """Return whether the description in a model file is that of a model of a table."""
        return model["model"] == "table"

    @classmethod
    def trained(cls) -> type[TrainedTable]:
        """Return the class that handles models of tables from files."""
        from .trained_table import TrainedTable

        return TrainedTable

    def read(self) -> None:
        """Read the table, without the columns to drop."""
        self.table = read_chosen(self.source, self.choices, self.options.reading)
        if self.table.n_rows < 2:
            raise DataError(f"{self.source}: expected at least 2 rows to learn from, got {self.table.n_rows}")

    def split(self) -> None:
        """Split the rows and infer the columns; for a system that models only labels, whole numbers are labels."""
        holdout = Holdout(self.table.n_rows, *self.shares, self.seed)
        self.parts = holdout.parts()
        most, strict = self.options.columns.max_labels, self.options.reading.strict
        schema = schema_of(self.table, self.choices, most, rows=self.parts.train, strict=strict)
        if models_labels(self.system, only=True):
            whole = [c.name for c in schema.columns if c.kind == "integer" and c.name not in self.choices.bounds]
            choices = self.choices.updated(dict.fromkeys(whole, "categorical") | self.choices.kinds, {}, ())
            schema = schema_of(self.table, choices, most, rows=self.parts.train, strict=strict)
        self.schema, self.encoded = schema, schema.encode(self.table)
        self.choice = AutoChoice(system=self.system, label_hidden=label_widths(schema))
        if self.automatic:
            found = choose(schema, self.encoded[self.parts.train], self.seed, quick=self.quick)
            # Arguments of the flow, or another network of labels, ask for the default system also for a table of labels.
            if found.system in (TABLE_FLOW, CURVED_FLOW) or not (self.arguments or self.options.system.labels):
                self.choice, self.system = found, found.system
            if self.config.patience is None and self.choice.patience is not None:
                self.config = self.config.replace(patience=self.choice.patience)
        if self.label_hidden is not None:
            self.choice = self.choice.with_label_hidden(self.label_hidden)
        arguments = {**self.choice.arguments, **self.arguments}
        self.choice = replace(self.choice, system=self.system, arguments=arguments)
        self.holdout = replace(holdout, digest=digest(self.encoded))

    def spec(self) -> dict[str, Any]:
        """Return the name of the system and its arguments; `model` adds those that follow from the columns."""
        return {"system": self.system, **self.choice.arguments}

    def model(self, spec: Mapping[str, Any]) -> Distribution:
        """Return a model of the rows with new random weights."""
        return fresh(self.schema, self.choice, self.seed, self.options.system.labels)

    def rows(self, model: Distribution) -> TrainingRows:
        """Return the encoded rows without the test rows; `fit` draws the same validation rows from them."""
        return TrainingRows(rows=self.encoded[self.parts.fitted], validation=self.holdout.validation or None)

    def score(self, model: Distribution) -> dict[str, Any] | None:
        """Return the held-out score and the scores of the baselines; None if no rows were held out."""
        wanted = self.options.output.baselines
        return score_held_out(model, self.encoded, self.parts, self.seed, baselines=wanted)  # type: ignore[arg-type]

    def finish(self, model: Distribution, result: FitResult) -> tuple[Distribution, dict[str, Any]]:
        """Return the best of the trained model and its alternatives; on a small table it is fitted again to all rows.

        The trained model is kept without a comparison if the system or the length of training was given, or in several
        processes.
        """
        given = self.options.training
        limited = self.quick or any(value is not None for value in (given.epochs, given.max_steps, given.max_seconds))
        if not self.automatic or limited or self.options.system.labels is not None or world_size() > 1:
            return model, {}
        rows = self.encoded[self.parts.fitted]
        self.terminal.tell("comparing the model with simpler models on the validation rows")
        found = improve(
            model,  # type: ignore[arg-type]
            result,
            self.choice,
            rows,
            self.holdout.validation or None,
            self.config,
            seed=self.seed,
        )
        if found.interrupted:
            kept = f"the trained model is in {self.options.output.model}, without a score"
            raise Interrupted(f"interrupted; {kept}", found.interrupted)
        for entry in found.tried:
            score = "-" if entry["validation"] is None else f"{entry['validation']:.4f}"
            detail = f", base {entry['base']}" if "base" in entry else ""
            detail += f", {entry['masks']} masks" if "masks" in entry else ""
            self.terminal.tell(f"  {entry['system']}{detail}: {score} nats per validation row")
        if found.refitted:
            self.terminal.tell(f"fitted {found.system} once more, with the validation rows")
        return found.model.eval(), {"tried": found.tried, "refitted": found.refitted}

    def results(self, model: Distribution) -> dict[str, Any]:
        """Return the score, quantiles of the log-likelihoods of training rows, and what the model has found in the columns."""
        quantiles = training_quantiles(model, self.encoded, self.parts, self.seed)  # type: ignore[arg-type]
        spec, numbers = model.spec, [column.name for column in self.schema.columns if column.numeric]
        found = [] if spec is None else spec.findings(model, numbers)
        return {**super().results(model), "quantiles": quantiles, **({"found": found} if found else {})}

    def score_text(self, model: Distribution, scores: Mapping[str, Any]) -> str:
        """Return the score as text."""
        return score_text(system_name(model), scores)

    def describe(self) -> list[str]:
        """Return lines with the numbers of rows, the schema, and notes on the columns."""
        train, validation, test = (len(rows) for rows in self.parts)
        return [
            f"{self.source}: {self.table.n_rows:,} rows ({train:,} to train, {validation:,} to validate, {test:,} to test)",
            *schema_lines(self.schema, self.table, self.encoded),
        ]

    def record(self) -> dict[str, Any]:
        """Return the name and the size of the table, and the columns that were dropped."""
        return {
            "name": "standard input" if self.source == "-" else os.path.basename(self.source),
            "rows": self.table.n_rows,
            "dropped": list(self.choices.drop),
        }


def column_choices(options: TableOptions) -> ColumnChoices:
    """Return the choices about columns: those of the flags, and those of the schema file where no flag is given."""
    choices = ColumnChoices() if options.schema is None else read_choices(options.schema)
    return choices.updated(name_values(options.kind, "--kind", "age=integer"), options.limits(), options.drop)


def read_chosen(source: str, choices: ColumnChoices, reading: ReadOptions) -> Table:
    """Read a table with choices about its columns, and leave out the columns to drop."""
    table = read_table(source, reading=reading.reading(choices.reading_hints()), **reading.limits())
    return table.without(choices.drop)


def schema_of(
    table: Table, choices: ColumnChoices, max_labels: int, *, rows: Any = None, strict: bool = False
) -> Schema:
    """Infer the schema of a table.

    Raises:
        DataError: The choices do not fit the table; or `strict` is set and columns cannot be used, which the message lists.
    """
    schema = infer_schema(
        table, kinds=choices.kinds, bounds=choices.bounds, max_categories=max_labels, rows=rows, leave_out=True
    )
    left = [beside for beside in schema.beside if beside.role != "computed" and beside.name not in choices.kinds]
    if strict and left:
        reasons = "; ".join(f"{beside.name}: {beside.why}" for beside in left)
        raise DataError(
            f"expected columns that can all be used, got {len(left)} that cannot ({reasons}); drop them or declare their kind"
        )
    return schema


def schema_lines(schema: Schema, table: Table, encoded: Any) -> list[str]:
    """Return the columns as an aligned table, and notes on them."""
    rows = column_rows(schema, table, encoded)
    more = [f"  and {len(rows) - MOST_COLUMNS:,} more columns"] if len(rows) > MOST_COLUMNS else []
    shown = aligned([("column", "kind", "values", "missing"), *rows[:MOST_COLUMNS]])
    left = [f"note: {note.sentence} and is left out" for note in table.notes if note.left_out]
    return [shown, *more, *left, *sentences(schema_notes(schema, table, encoded))]
