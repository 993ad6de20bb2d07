"""Tables: how `fit` reads and splits them, finds out what their columns are, and scores the held-out rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Distribution
from ..errors import DataError
from ..evaluation import check_solver
from ..evaluation.held_out import Holdout, fit_baselines, row_scores, score_record
from ..systems.picture_spec import PictureSpec
from ..systems.spec import Spec
from ..tables import digest, infer_schema, models_labels, read_table, table_model
from ..tables.formats import SUFFIXES
from ..tables.numpy_files import array_dimensions
from .console import Terminal, score_text
from .options import ImageOptions, UsageError, name_values
from .task import FitOptions, Task, TrainingRows, system_name

if TYPE_CHECKING:
    from .trained_table import TrainedTable

TABLE_FLOW = "nsf"
"""System of a table when none is named."""


class TableTask(Task):
    """Learn the rows of a table."""

    noun = "rows"

    def __init__(self, source: str, options: FitOptions, terminal: Terminal) -> None:
        super().__init__(source, options, terminal)
        if options.images != ImageOptions():
            raise UsageError(
                "--image-size, --tiles, --levels, --label, --flips and --grids are for pictures, "
                f"and {source} is a table"
            )
        self.system = options.system.flow or TABLE_FLOW
        known = Spec.registry.get(self.system)
        if known is not None and issubclass(known, PictureSpec):
            raise UsageError(
                f"{self.system} models pictures, not tables; give a folder of pictures, an array of them or the name of a "
                "data set"
            )
        self.arguments = options.system.arguments(self.system)
        self.kinds = name_values(options.columns.kind, "--kind", "age=integer")
        self.limits, self.shares = options.columns.limits(), options.columns.shares()

    @classmethod
    def reads(cls, source: str) -> bool:
        """Whether a source is standard input, or a file with the suffix of a table that is no array of pictures."""
        known = source == "-" or Path(source).suffix.lower() in SUFFIXES
        return known and not os.path.isdir(source) and array_dimensions(source) < 3

    @classmethod
    def owns(cls, model: Mapping[str, Any]) -> bool:
        """Whether the description in a model file has the columns of a table."""
        return model["model"] == "table"

    @classmethod
    def trained(cls) -> type[TrainedTable]:
        """Return the class of models of tables from files."""
        from .trained_table import TrainedTable

        return TrainedTable

    def read(self) -> None:
        """Read the table, without the columns to drop."""
        text = [name for name, kind in self.kinds.items() if kind == "categorical"]
        table = read_table(self.source, text=text, **asdict(self.options.reading))
        self.table = table.without(self.options.columns.drop)
        if self.table.n_rows < 2:
            raise DataError(f"{self.source}: expected at least 2 rows to learn from, got {self.table.n_rows}")

    def split(self) -> None:
        """Split the rows, and find out what the columns are; whole numbers are labels where a system wants those."""
        holdout = Holdout(self.table.n_rows, *self.shares, self.seed)
        self.parts = holdout.parts()
        choice: dict[str, Any] = {"bounds": self.limits, "rows": self.parts.train}
        schema = infer_schema(self.table, kinds=self.kinds, **choice)  # type: ignore[arg-type]
        if models_labels(self.system):
            whole = [c.name for c in schema.columns if c.kind == "integer" and c.name not in self.limits]
            kinds = dict.fromkeys(whole, "categorical") | self.kinds
            schema = infer_schema(self.table, kinds=kinds, **choice)  # type: ignore[arg-type]
        self.schema, self.encoded = schema, schema.encode(self.table)
        self.holdout = replace(holdout, digest=digest(self.encoded))

    def spec(self) -> dict[str, Any]:
        """Return the system and its arguments; those that follow from the columns are added when the model is built."""
        return {"system": self.system, **self.arguments}

    def model(self, spec: Mapping[str, Any]) -> Distribution:
        """Return a model of the rows with fresh weights."""
        return table_model(self.schema, labels=self.options.system.labels, **spec)

    def rows(self, model: Distribution) -> TrainingRows:
        """Return the encoded rows that are not for testing; `fit` draws those for validation from them again."""
        return TrainingRows(rows=self.encoded[self.parts.fitted], validation=self.holdout.validation or None)

    def score(self, model: Distribution) -> dict[str, Any] | None:
        """Return the held-out score and the baselines'; None when no rows were held out."""
        held, others = self.parts.held, self.parts.others
        if len(held) == 0:
            return None
        log_prob = row_scores(model, self.encoded[held], self.seed)  # type: ignore[arg-type]
        baselines, note = [], "not asked for"
        if self.options.output.baselines:
            try:
                baselines, note = fit_baselines(self.schema, self.table, others, held, self.seed), ""
            except DataError as error:
                note = str(error)
        solver = check_solver(model, self.encoded[held])
        name, symbol = self.parts.held_name, model.exactness.symbol
        return score_record(name, symbol, log_prob, baselines, others, note, solver)

    def score_text(self, model: Distribution, scores: Mapping[str, Any]) -> str:
        """Return the score as text."""
        return score_text(system_name(model), scores)

    def describe(self) -> list[str]:
        """Return the numbers of rows and columns, and a note about each column on which a density can pile up."""
        kinds = [column.kind for column in self.schema.columns]
        count = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
        train, validation, test = (len(rows) for rows in self.parts)
        lines = [
            f"{self.source}: {self.table.n_rows:,} rows ({train:,} to train, {validation:,} to validate, {test:,} to test), "
            f"{len(kinds)} columns ({', '.join(f'{n} {kind}' for kind, n in count.items())})"
        ]
        for column, values in zip(self.schema.columns, self.encoded.T, strict=True):
            if column.kind != "continuous":
                continue
            distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
            most = int(counts.argmax())
            if counts[most] >= max(10, 0.01 * len(values)):
                lines.append(
                    f"note: {column.name} is {distinct[most]:g} in {counts[most]:,} rows; a density piles up on repeats, "
                    "so read the score with care"
                )
        return lines

    def record(self) -> dict[str, Any]:
        """Return the name and size of the table and the columns that were dropped."""
        return {
            "name": "standard input" if self.source == "-" else os.path.basename(self.source),
            "rows": self.table.n_rows,
            "dropped": list(self.options.columns.drop),
        }
