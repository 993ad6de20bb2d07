"""Fitted model of a table for notebooks and the command line: samples, scores, explanations, conditions, reports."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from .errors import DataError, brief, listed
from .evaluation import check_solver
from .evaluation.explain import explained, outside
from .evaluation.held_out import Holdout, fit_baselines, row_scores, score_record
from .evaluation.ranks import ScoreRanks
from .output import atomic_output
from .serialize import load, save
from .tables import Schema, Table, TableModel, digest
from .tables.data_frames import Source, as_frame, as_table
from .tables.drawing import CHUNK, draw_rows
from .tables.hints import Reading
from .tables.schema import Encoded
from .training.random_state import isolated
from .training_record import usable

Array = np.ndarray[Any, np.dtype[Any]]
MOST_EXPLAINED = 200
"""Largest number of outliers that are explained, the least likely first."""
FEWEST_SAMPLES, MOST_SAMPLES = 1000, 10_000
"""Smallest and largest number of samples in a report."""
MOST_ROUNDS = 100
"""Largest number of rounds of draws in the search for rows that meet conditions."""


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
        acceptance: Share of all draws that meet the conditions.
    """

    rows: Any
    acceptance: float


def keeping(table: Table, given: Mapping[str, Any]) -> Array:
    """Return which rows of a table keep conditions: (N,) truth values. A missing value is in no range.

    Args:
        table: The rows.
        given: Conditions by column, as for `FittedTable.conditional`.

    Raises:
        DataError: A column is unknown, or its values have no order and the condition is a range.
    """
    keep = np.ones(table.n_rows, dtype=bool)
    for name, wanted in given.items():
        if name not in table.names:
            raise DataError(f"expected conditions on the columns {listed(table.names)}, got {brief(name)}")
        values = table[name]
        present = ~np.array([value is None or value != value for value in values.tolist()], dtype=bool)
        if values.dtype.kind in "mM":
            present = ~np.isnat(values)
        if wanted is None:
            keep &= ~present
        elif isinstance(wanted, (tuple, list)) and len(wanted) == 2:
            for bound, compare in zip(wanted, (np.greater_equal, np.less_equal), strict=True):
                if bound is not None:
                    keep &= present
                    keep[present] &= _compared(name, values[present], bound, compare)
        else:
            same = [value == wanted or str(value) == str(wanted) for value in values.tolist()]
            keep &= present & np.array(same, dtype=bool)
    return keep


def _compared(name: str, values: Array, bound: Any, compare: Callable[[Array, Any], Array]) -> Array:
    """Compare values that are not missing with a bound."""
    try:
        return compare(values.astype(np.float64), bound) if values.dtype.kind == "O" else compare(values, bound)
    except (TypeError, ValueError):
        raise DataError(
            f"expected a range of column {brief(name)} with bounds like its values, got {brief(bound)}"
        ) from None


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
        return TableRows(name, table, self.schema.encode_rows(table))

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
        """Return for each row the reason why it cannot be scored or has probability zero; an empty text for other rows."""
        notes = [rows.encoded.notes.get(row, "") for row in range(len(log_prob))]
        for row in np.flatnonzero(np.isneginf(log_prob)):
            notes[row] = notes[row] or outside(self.schema, rows.encoded.rows[row])
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
        """Return draws that meet conditions, by rejection: rows are drawn from the model, and those that meet them are kept.

        Args:
            given: Condition of each column, by name: a label, a number, a range (low, high) with None for no bound, or None for
                a missing value.
            n: Largest number of draws to return; there are fewer if the conditions are rare.
            seed: Seed of the draws.
            rounds: Largest number of rounds of 8192 draws each.

        Raises:
            DataError: A column is unknown, or no draw meets the conditions.
        """
        kept: list[Array] = []
        found = drawn = 0
        with isolated(self.model.device, seed):
            for _ in range(rounds):
                rows = draw_rows(self.model, CHUNK)
                table = self.schema.decode(rows)
                keep = keeping(table, given)
                kept.append(rows[keep])
                found, drawn = found + int(keep.sum()), drawn + len(rows)
                if found >= n:
                    break
        if found == 0:
            raise DataError(
                f"expected conditions that some of {drawn:,} draws meet, got {brief(dict(given))}; give wider ranges"
            )
        table = self.schema.decode(np.concatenate(kept)[:n])
        return ConditionalDraws(as_frame(table, self.like), found / drawn)

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
            scores, note = fit_baselines(self.schema, rows.encoded.rows, others, held, seed), ""
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
        record = score_record(what, inputs.exactness, log_prob, scores, others, note, solver)
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
