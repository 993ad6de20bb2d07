"""Class `pushforward.Table`: from a file or a data frame to a fitted model in two lines."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from .evaluation.held_out import Holdout, score_held_out, training_quantiles
from .fitted_table import FittedTable, TableRows
from .tables import Schema, digest, infer_schema
from .tables.auto import AutoChoice, choose, fresh, improve, label_widths
from .tables.data_frames import Source, as_table, kind_of_frame
from .tables.describe import column_rows, schema_notes, sentences
from .tables.hints import Reading
from .tables.schema import Encoded
from .tables.schema_file import ColumnChoices
from .training import TrainConfig, fit


class DataTable:
    """Table from a file or a data frame, with its schema; `pushforward.Table(source).fit()` fits a model to it.

    Args:
        source: A path, a data frame of pandas or polars, a mapping from names to columns, or an array.
        kinds: Kinds of columns, by name, if the inferred kind is wrong: "continuous", "integer", "categorical", "constant",
            "date", "date:FORMAT", "angle", "angle:PERIOD", "identifier" or "text"; a column of text is left out. The kind of a
            pair of columns "latitude,longitude" is "position".
        bounds: Bounds (low, high) of columns, by name; no value lies outside. None for no bound.
        drop: Names of columns to leave out.
        missing: Texts and numbers that mark missing values; None for the usual markers and those that are found automatically.
        max_labels: Largest number of labels of a column; a column with more labels is left out.
        test: Fraction or number of the rows that are not used in training but for the final score.
        validation: Fraction or number of the other rows that decide when training stops and which model is kept.
        seed: Seed of the split and of the training.

    Attributes:
        schema: Schema of the table.
        table: Rows of the table.

    Raises:
        FlowError: The source cannot be read, or no column can be used.

    Examples:
        >>> model = pf.Table("customers.csv").fit()  # doctest: +SKIP
        >>> model.sample(1000), model.score(), model.report("report.html")  # doctest: +SKIP
    """

    def __init__(
        self,
        source: Source,
        *,
        kinds: Mapping[str, str] | None = None,
        bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
        drop: Collection[str] = (),
        missing: Collection[str] | None = None,
        max_labels: int = 256,
        test: float = 0.1,
        validation: float = 0.1,
        seed: int = 0,
    ) -> None:
        choices = ColumnChoices(dict(kinds or {}), dict(bounds or {}), {}, tuple(drop))
        reading = Reading(hints=choices.reading_hints(), missing=None if missing is None else tuple(map(str, missing)))
        self.like = kind_of_frame(source)
        self.name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the table"
        self.table = as_table(source, reading).without(choices.drop)
        self.drop, self.seed = tuple(drop), seed
        holdout = Holdout(self.table.n_rows, test, validation, seed)
        self.parts = holdout.parts()
        self.schema: Schema = infer_schema(
            self.table,
            kinds=choices.kinds,
            bounds=choices.bounds,
            max_categories=max_labels,
            rows=self.parts.train,
            leave_out=True,
        )
        self.encoded = self.schema.encode(self.table)
        self.holdout = replace(holdout, digest=digest(self.encoded))

    def __repr__(self) -> str:
        rows = column_rows(self.schema, self.table, self.encoded)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        notes = sentences(schema_notes(self.schema, self.table, self.encoded))
        return "\n".join([f"Table of {self.table.n_rows:,} rows", *(f"  {line}" for line in (*lines, *notes))])

    def fit(
        self, system: str | None = None, *, baselines: bool = True, progress: bool = False, **options: Any
    ) -> FittedTable:
        """Fit a model, score it on the test rows, and return it.

        Args:
            system: Name of a system for the numeric columns. By default the system is chosen by the size and the columns of the
                table and compared with a mixture of Gaussians on the validation rows; on a small table, the better model is
                then fitted again to training and validation rows.
            baselines: Whether simple densities are fitted to compare the score with.
            progress: Whether to show progress on standard error.
            options: Options of `TrainConfig`, such as `max_seconds=60`, and arguments of the system.

        Returns:
            The fitted model; its record contains the scores.

        Raises:
            FlowError: An option is unknown or out of range, or the training failed.
            KeyboardInterrupt: The user pressed Ctrl-C before the model was trained.
        """
        known = set(TrainConfig.__dataclass_fields__)
        config = TrainConfig(**{"seed": self.seed, "threads": 1, **{k: v for k, v in options.items() if k in known}})
        arguments = {k: v for k, v in options.items() if k not in known}
        choice = AutoChoice(system=system or "nsf", label_hidden=label_widths(self.schema))
        if system is None:
            choice = choose(self.schema, self.encoded[self.parts.train], self.seed)
            config = config.replace(patience=choice.patience if config.patience is None else config.patience)
        choice = replace(choice, arguments={**choice.arguments, **arguments})
        model = fresh(self.schema, choice, self.seed)
        rows, validation = self.encoded[self.parts.fitted], self.holdout.validation or None
        result = fit(model, rows, validation=validation, config=config, progress=progress)
        record: dict[str, Any] = {**result.to_dict(), "split": asdict(self.holdout)}
        record["data"] = {"name": os.path.basename(self.name), "rows": self.table.n_rows, "dropped": list(self.drop)}
        limited = {"epochs", "max_steps", "max_seconds"} & options.keys()
        if system is None and not limited and result.stopped != "interrupted":
            found = improve(model, result, choice, rows, validation, config, seed=self.seed)
            model, record = found.model, {**record, "tried": found.tried, "refitted": found.refitted}
        model.eval()
        record["quantiles"] = training_quantiles(model, self.encoded, self.parts, self.seed)
        record["scores"] = score_held_out(model, self.encoded, self.parts, self.seed, baselines=baselines)
        asked = TableRows(self.name, self.table, Encoded(self.encoded, np.zeros(self.table.n_rows, dtype=bool), {}))
        return FittedTable(model, record, asked, self.like)
