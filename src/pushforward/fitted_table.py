"""Fitted model of a table for notebooks and the command line: samples, scores, explanations, conditions, reports."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from .errors import DataError, listed
from .evaluation import check_reconstruction, check_solver
from .evaluation.explain import explained, outside
from .evaluation.held_out import Holdout, fit_baselines, row_scores, score_record
from .evaluation.ranks import ScoreRanks
from .output import atomic_output
from .serialize import load, save
from .tables import AnyOrderTable, Schema, Table, TableModel, digest
from .tables.conditional_rows import MOST_ROUNDS, ConditionalRows, conditional_rows
from .tables.data_frames import Source, as_frame, as_table
from .tables.drawing import CHUNK, draw_rows
from .tables.hints import Reading
from .tables.imputation import imputed_table
from .tables.schema import Encoded
from .training.random_state import isolated
from .training_record import usable

Array = np.ndarray[Any, np.dtype[Any]]
MOST_EXPLAINED = 200
"""Largest number of outliers that are explained, the least likely first."""
FEWEST_SAMPLES, MOST_SAMPLES = 1000, 10_000
"""Smallest and largest number of samples in a report."""


@dataclass(frozen=True)
class TableRows:
    """Rows to score with a model.

    Args:
        name: Name of the source of the rows.
        table: The rows as a table.
        encoded: The rows as numbers, with a mask of the rows that cannot be used.
    """

    name: str
    table: Table
    encoded: Encoded


@dataclass(frozen=True)
class ConditionalDraws:
    """Draws that meet conditions.

    Args:
        rows: The draws, as a data frame or a table.
        acceptance: Share of all draws that meet the conditions; with exact conditionals the share among draws that have the
            given values.
        exact: Whether the values that are given exactly were conditioned on; otherwise all conditions were met by rejection.
        warnings: Sentences about conditions outside of the range of the training table.
    """

    rows: Any
    acceptance: float
    exact: bool = False
    warnings: tuple[str, ...] = ()


class FittedTable:
    """Fitted model of a table, which `Table.fit` returns and `load` reads from a file.

    Args:
        model: Model, in evaluation mode.
        training: Record of the training.
        rows: Rows that the model was fitted to and scored on, the default rows of `score` and `report`; None for none.
        like: Kind of data frame for results: "pandas", "polars" or "table".
        path: File of the model; empty for none.
    """

    def __init__(
        self,
        model: TableModel,
        training: Mapping[str, Any],
        rows: TableRows | None = None,
        like: str = "table",
        path: str = "",
    ) -> None:
        self.model, self.training, self.rows, self.like, self.path = model, dict(training), rows, like, path

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: torch.device | str = "cpu", like: str = "polars") -> Self:
        """Return the model in a file that `save` or `pushforward fit` wrote.

        Args:
            path: Path of the file.
            device: Device to compute on.
            like: Kind of data frame for results.

        Raises:
            FileError: The file cannot be read, or is not a model file.
            DataError: The file holds a model of other data.
        """
        saved = load(path)
        if not isinstance(saved.model, TableModel) or saved.schema is None:
            raise DataError(
                f"expected a model of a table in {os.fspath(path)}, got another one; use it in Python with pushforward.load"
            )
        return cls(saved.model.to(device).eval(), usable(saved.training), like=like, path=os.fspath(path))

    def __repr__(self) -> str:
        scores = self.training.get("scores") or {}
        score = f", {scores['mean']:.3f} nats per {scores['rows']} row" if scores.get("mean") is not None else ""
        return f"FittedTable({self.system}, {len(self.schema.names)} columns{score})"

    @property
    def schema(self) -> Schema:
        """Schema of the table."""
        return self.model.schema

    @property
    def system(self) -> str:
        """Name of the system; for a table without numeric columns, the name of the system of its labels."""
        spec = self.model.spec or self.model.label_spec
        return "labels" if spec is None else spec.name

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, which the command line can read as well.

        Raises:
            FileError: The path cannot be written.
        """
        save(path, self.model, training=self.training)

    def read(self, source: Source, reading: Reading | None = None, name: str = "") -> TableRows:
        """Return rows to score.

        Args:
            source: A path, a data frame of pandas or polars, a mapping, an array or a table.
            reading: Rules for the interpretation of the entries; by default they follow from the table of the fit.
            name: Name of the source.

        Raises:
            FlowError: The source cannot be read, or a column is missing or unknown.
        """
        table = as_table(source, reading or Reading(hints=self.schema.hints))
        if reading is not None and reading.strict:
            rows = self.schema.encode(table)
            return TableRows(name, table, Encoded(rows, np.zeros(len(rows), dtype=bool), {}))
        gaps = isinstance(self.model, AnyOrderTable)
        return TableRows(name, table, self.schema.encode_rows(table, gaps=gaps))

    def log_prob(self, rows: TableRows, samples: int = 1, seed: int = 0) -> Array:
        """Return the log-likelihood of each row in nats and in the units of the table; -inf for a row that cannot be scored.

        Args:
            rows: Rows to score.
            samples: Number of draws that are averaged for each row if the log-likelihood is a lower bound.
            seed: Seed of these draws.
        """
        scores = row_scores(self.model, rows.encoded.rows, seed, samples)
        return np.where(rows.encoded.bad | np.isnan(scores), -np.inf, scores)

    def score_table(
        self, rows: TableRows, log_prob: Array, *, contamination: float = 0.01, explain: bool = False, seed: int = 0
    ) -> Table:
        """Return a table of the scores: numbers of the rows, identifiers, log-likelihoods, percentiles, outliers, notes.

        Args:
            rows: Rows that were scored.
            log_prob: Log-likelihoods (N,) of the rows, in nats.
            contamination: Share of the training rows whose log-likelihood is below a threshold; a row below it is an outlier.
            explain: Whether a column "why" names the entries that make an outlier unlikely.
            seed: Seed of the noise, for models whose log-likelihood is random.
        """
        ranks = ScoreRanks.of(self.training)
        identifiers = [b.name for b in self.schema.beside if b.role == "identifier" and b.name in rows.table.names]
        columns: dict[str, Array] = {"row": np.arange(1, len(log_prob) + 1)}
        columns |= {name if name != "row" else "row identifier": rows.table[name] for name in identifiers}
        columns["log_prob"] = log_prob
        outlier = np.isneginf(log_prob)
        if ranks is not None:
            columns["percentile"] = ranks.percentiles(log_prob)
            outlier |= log_prob < ranks.threshold(contamination)
            columns["outlier"] = outlier
        notes = self.notes(rows, log_prob)
        if any(notes):
            columns["note"] = np.array([note or None for note in notes], dtype=object)
        if explain:
            unlikely = np.flatnonzero(outlier & ~rows.encoded.bad)
            order = unlikely[np.argsort(log_prob[unlikely], kind="stable")][:MOST_EXPLAINED]
            columns["why"] = np.full(len(log_prob), None, dtype=object)
            for row, text in zip(order, explained(self.model, rows.encoded.rows[order], seed), strict=True):
                columns["why"][row] = text
        return Table(tuple(columns), tuple(columns.values()), rows.table.zones)

    def notes(self, rows: TableRows, log_prob: Array) -> list[str]:
        """Return for each row the reason why it is scored in part or not, or has probability zero; an empty text for others."""
        notes = [rows.encoded.notes.get(row, "") for row in range(len(log_prob))]
        for row in np.flatnonzero(np.isneginf(log_prob)):
            notes[row] = notes[row] or outside(self.schema, rows.encoded.rows[row])
        unasked = np.isnan(rows.encoded.rows) & ~np.array([column.missing for column in self.schema.columns])
        for row in np.flatnonzero(unasked.any(1)):
            names = listed([name for name, gap in zip(self.schema.names, unasked[row], strict=True) if gap])
            notes[row] = notes[row] or f"{names} not given, so log_prob is that of the other entries"
        return notes

    def draw(self, count: int, seed: int = 0, chunk: int = CHUNK, *, extrapolate: bool = False) -> Table:
        """Return new rows as a table of the same columns and types, by default within the ranges of the training table."""
        with isolated(self.model.device, seed):
            return self.schema.decode(draw_rows(self.model, count, chunk, extrapolate=extrapolate))

    def sample(self, n: int = 1000, *, seed: int = 0, extrapolate: bool = False) -> Any:
        """Return new rows as a frame of the kind that was given to `Table`.

        Args:
            n: Number of rows.
            seed: Seed; the same seed gives the same rows.
            extrapolate: Whether values outside the ranges of the training table are allowed.
        """
        return as_frame(self.draw(n, seed, extrapolate=extrapolate), self.like)

    def score(
        self,
        rows: Source | None = None,
        *,
        contamination: float = 0.01,
        explain: bool = False,
        samples: int = 1,
        seed: int = 0,
    ) -> Any:
        """Return scores as a data frame: log-likelihoods, percentiles among the training rows, outliers and notes.

        Args:
            rows: Rows to score; by default the rows of the table that the model was fitted to.
            contamination: Share of the training rows whose log-likelihood is below a threshold; a row below it is an outlier.
            explain: Whether a column "why" names the entries that make an outlier unlikely.
            samples: Number of draws that are averaged for each row if the log-likelihood is a lower bound.
            seed: Seed of these draws.

        Raises:
            FlowError: The rows cannot be read, or a column is missing or unknown.
        """
        asked = self._asked(rows)
        log_prob = self.log_prob(asked, samples, seed)
        table = self.score_table(asked, log_prob, contamination=contamination, explain=explain, seed=seed)
        return as_frame(table, self.like)

    def _asked(self, rows: Source | None) -> TableRows:
        if rows is not None:
            return self.read(rows, name=rows if isinstance(rows, str) else "")
        if self.rows is None:
            raise DataError("expected rows, because the table of the fit is not in memory; pass the rows")
        return self.rows

    def conditional(
        self, given: Mapping[str, Any], n: int = 1000, *, seed: int = 0, rounds: int = MOST_ROUNDS
    ) -> ConditionalDraws:
        """Return draws that meet conditions.

        A model of the system "any-order" draws the other columns given the values of those that are fixed, and meets ranges and
        sets of labels by rejection. For other models all conditions are met by rejection.

        Args:
            given: Condition of each column, by name: a label, a number, a set of labels, a range (low, high) with None for no
                bound, or None for a missing value.
            n: Largest number of draws to return; there are fewer if the conditions are rare.
            seed: Seed of the draws.
            rounds: Largest number of rounds of 8192 draws each.

        Raises:
            DataError: A condition is wrong, or no draw meets the conditions.
        """
        found = self.meeting(given, n, seed, rounds=rounds)
        table = as_frame(self.schema.decode(found.rows), self.like)
        return ConditionalDraws(table, found.acceptance, found.exact, found.warnings)

    def meeting(
        self, given: Mapping[str, Any], n: int, seed: int = 0, *, rounds: int = MOST_ROUNDS, extrapolate: bool = False
    ) -> ConditionalRows:
        """Return `conditional` as encoded rows; with `extrapolate` values outside the ranges of the training table are kept."""
        with isolated(self.model.device, seed):
            return conditional_rows(self.model, given, n, rounds=rounds, extrapolate=extrapolate)

    @property
    def any_order(self) -> AnyOrderTable:
        """The model, if it has the conditionals of each column given any others.

        Raises:
            DataError: It has not.
        """
        if not isinstance(self.model, AnyOrderTable):
            raise DataError(
                f"expected a model with the conditionals of each column given any others, got one of the system "
                f"{self.system!r}; fit the table with --flow any-order"
            )
        return self.model

    def impute(self, rows: Source, *, draws: int = 1, point: bool = False, seed: int = 0) -> Any:
        """Return rows whose missing values are filled in, given the values that are there, which never change.

        Args:
            rows: Rows with missing values; columns of the model that are absent are filled in as a whole.
            draws: Number of draws of each row; with more than one, a first column `draw` counts them.
            point: Whether the mean of each number and the likeliest label replace draws.
            seed: Seed of the draws.

        Raises:
            FlowError: The rows cannot be read, a value is none of its column, or the model has no such conditionals.
        """
        # An entry that cannot be read is an error here and not a missing value, because entries that are there must not change.
        table = as_table(rows, Reading(hints=self.schema.hints, strict=True))
        return as_frame(self.filled(table, draws, seed, point=point), self.like)

    def filled(self, table: Table, draws: int = 1, seed: int = 0, *, point: bool = False) -> Table:
        """Return `impute` of a table as a table."""
        with isolated(self.model.device, seed):
            return imputed_table(self.any_order, table, draws, point=point)

    def surprise(self, rows: Source | None = None) -> Any:
        """Return -log p(entry | all other entries of the row) for each entry, in nats, as a data frame with the same columns.

        Args:
            rows: Rows to judge; by default the rows of the table that the model was fitted to.

        Raises:
            FlowError: The rows cannot be read, or the model has no such conditionals.
        """
        model, encoded = self.any_order, self._asked(rows).encoded
        values = [0.0 - model.entry_log_prob(encoded.rows, i) for i in range(len(self.schema.columns))]
        return as_frame(Table(self.schema.names, tuple(values)), self.like)

    def report(self, path: str | os.PathLike[str] = "report.html", rows: Source | None = None, title: str = "") -> str:
        """Write an HTML page about the model: scores, samples beside data, impossible values, the least likely rows.

        Args:
            path: File to write.
            rows: Rows to show; by default the held-out rows of the table of the fit.
            title: Title of the page.

        Returns:
            The path of the file.

        Raises:
            FlowError: The rows or the path cannot be used.
        """
        page, _, _ = self.page(self._asked(rows), title=title or "A table", seed=0)
        with atomic_output(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return os.fspath(path)

    def page(
        self, rows: TableRows, *, title: str, seed: int = 0, baselines: bool = True
    ) -> tuple[str, dict[str, Any], str]:
        """Return an HTML page about the held-out rows (or all rows of another table), the score, and a sentence about the rows.

        Args:
            rows: Rows of the table of the fit, or of another table.
            title: Title of the page.
            seed: Seed of samples, noise and classifier.
            baselines: Whether simple densities are fitted to compare the score with.
        """
        from .report import build_report
        from .report.table_inputs import table_inputs

        what, held, others, choice = self.choose_rows(rows)
        held_rows = rows.encoded.rows[held]
        log_prob = np.where(rows.encoded.bad[held], -np.inf, row_scores(self.model, held_rows, seed))
        scores = []
        note = (
            "they were not requested" if len(others) else "the rows that the model was fitted to are not in this table"
        )
        if baselines and len(others):
            try:
                scores, note = fit_baselines(self.schema, rows.encoded.rows, others, held, seed, self.model), ""
            except DataError as error:
                note = str(error)
        size = min(MOST_SAMPLES, max(FEWEST_SAMPLES, len(held)))
        solver = check_solver(self.model, held_rows)
        inputs = table_inputs(
            self.model,
            held_rows,
            rows.table.take(held),
            self.draw(size, seed, chunk=size),
            log_prob,
            scores,
            solver,
            seed,
            title=title,
            system=self.system,
            training=self.training,
            numbers=held + 1,
            settings={"model": self.path, "table": rows.name, "rows": choice, "seed": seed, "samples": size},
            versions=self.training.get("versions", {}),
            created=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        )
        check = solver or check_reconstruction(self.model, held_rows)
        record = score_record(what, inputs.exactness, log_prob, scores, others, note, check)
        return build_report(inputs), record, choice

    def choose_rows(self, rows: TableRows) -> tuple[str, Array, Array, str]:
        """Return the name and the numbers of the rows to score, the numbers of the rows of the fit, and a sentence."""
        path, every, none = rows.name or "the table", np.arange(rows.table.n_rows), np.arange(0)
        holdout = Holdout.of(self.training)
        if holdout is None or holdout.digest != digest(rows.encoded.rows):
            return "all", every, none, f"{path} is not the table of the fit, so all its {len(every):,} rows are used"
        parts = holdout.parts()
        if len(parts.held) == 0:
            return "all", every, none, f"no rows of {path} were held out, so its score is that of the training rows"
        sentence = f"{path} is the table of the fit, so its {len(parts.held):,} {parts.held_name} rows are used"
        return parts.held_name, parts.held, parts.others, sentence
