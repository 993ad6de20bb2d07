"""Models of tables from files: the log-likelihood of rows, new rows, and the report."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from ..errors import DataError
from ..evaluation import can_average, check_solver, mean_and_error
from ..evaluation.explain import explained, outside
from ..evaluation.held_out import Holdout, fit_baselines, row_scores, score_record
from ..evaluation.ranks import ScoreRanks
from ..output import require_writable
from ..report import build_report
from ..report.table_inputs import table_inputs
from ..serialize import load
from ..tables import Schema, Table, TableModel, digest, read_table, write_table
from ..tables.drawing import CHUNK, draw_rows
from ..tables.formats import SUFFIXES, TEXT
from ..tables.schema import Encoded
from ..training.random_state import isolated
from ..training_record import usable
from .console import MEANING, Terminal, aligned, impossible_text, joined, score_text, value_text
from .options import ReadOptions, ReportOptions, SampleOptions, ScoreOptions, UsageError
from .task import TrainedModel, require_suffix

Array = np.ndarray[Any, np.dtype[Any]]
MOST_EXPLAINED = 200
"""Outliers that are explained, the least likely first."""
FEWEST_SAMPLES, MOST_SAMPLES = 1000, 10_000


class TrainedTable(TrainedModel):
    """A model of a table from a file, and the table that it is asked about.

    Args:
        path: The file.
        model: The model.
        training: Record that `fit` saved.
        schema: Columns of the table.
    """

    default_samples = 1000
    prints_scores = True

    def __init__(self, path: str, model: TableModel, training: dict[str, Any], schema: Schema) -> None:
        super().__init__(path, model, training)
        self.schema = schema

    @classmethod
    def open(cls, path: str, device: torch.device) -> Self:
        """Return a model of a table from a file."""
        saved = load(path)
        if not isinstance(saved.model, TableModel) or saved.schema is None:
            raise DataError(
                f"expected a model of a table in {path}, got another one; use it in Python with pushforward.load"
            )
        return cls(path, saved.model.to(device).eval(), usable(saved.training), saved.schema)

    @classmethod
    def check_score(cls, path: str, options: ScoreOptions) -> None:
        """Accept all options of `score`."""

    @classmethod
    def check_report(cls, path: str, options: ReportOptions) -> None:
        """Accept all options of `report`."""

    @classmethod
    def check_sample(cls, path: str, options: SampleOptions) -> None:
        """Refuse options for pictures, and an output that cannot be written."""
        if options.temperature != 1 or options.label is not None or options.nearest is not None:
            raise UsageError(
                f"--temperature, --label and --nearest are for models of pictures, and {path} is one of a table"
            )
        require_suffix(options.out, "--out", SUFFIXES)
        if options.escape_formulas and options.out != "-" and Path(options.out).suffix.lower() not in TEXT:
            raise UsageError(
                f"--escape-formulas is for {', '.join(TEXT)} and standard output, got {options.out}; leave it out"
            )
        require_writable(options.out, "--out", [path])

    def prepare(self, source: str, drop: Sequence[str], reading: ReadOptions) -> None:
        """Read a table for this model, without the columns that were dropped when it was fitted."""
        table = read_table(source, reading=reading.reading(self.schema.hints), **reading.limits())
        before = [name for name in self.training.get("data", {}).get("dropped", ()) if name in table.names]
        self.source, self.table = source, table.without(drop).without([name for name in before if name not in drop])
        if reading.strict:
            self.encoded = Encoded(self.schema.encode(self.table), np.zeros(self.table.n_rows, dtype=bool), {})
        else:
            self.encoded = self.schema.encode_rows(self.table)
        self.rows = self.encoded.rows

    def log_likelihoods(self, samples: int, seed: int) -> Array:
        """Return the log-likelihood of each row, in nats and the units of the table; -inf for a row that has no place."""
        scores = row_scores(self.model, self.rows, seed, samples)
        return np.where(self.encoded.bad | np.isnan(scores), -np.inf, scores)

    def score_table(self, log_prob: Array, options: ScoreOptions, seed: int) -> Table:
        """Return the table of scores: rows, identifiers, log-likelihoods, percentiles, outliers and notes."""
        ranks = ScoreRanks.of(self.training)
        identifiers = [b.name for b in self.schema.beside if b.role == "identifier" and b.name in self.table.names]
        columns: dict[str, Array] = {"row": np.arange(1, len(log_prob) + 1)}
        columns |= {name if name != "row" else "row identifier": self.table[name] for name in identifiers}
        columns["log_prob"] = log_prob
        outlier = np.isneginf(log_prob)
        if ranks is not None:
            columns["percentile"] = ranks.percentiles(log_prob)
            outlier |= log_prob < ranks.threshold(options.contamination)
            columns["outlier"] = outlier
        notes = self.notes(log_prob)
        if any(notes):
            columns["note"] = np.array([note or None for note in notes], dtype=object)
        if options.explain:
            unlikely = np.flatnonzero(outlier & ~self.encoded.bad)
            order = unlikely[np.argsort(log_prob[unlikely], kind="stable")][:MOST_EXPLAINED]
            columns["why"] = np.full(len(log_prob), None, dtype=object)
            for row, text in zip(order, explained(self.model, self.rows[order], seed), strict=True):
                columns["why"][row] = text
        return Table(tuple(columns), tuple(columns.values()), self.table.zones)

    def notes(self, log_prob: Array) -> list[str]:
        """Return for each row why it cannot be scored, or has probability zero; empty for the others."""
        notes = [self.encoded.notes.get(row, "") for row in range(len(log_prob))]
        for row in np.flatnonzero(np.isneginf(log_prob)):
            notes[row] = notes[row] or outside(self.schema, self.rows[row])
        return notes

    def least_likely(self, log_prob: Array, rows: Array, width: int) -> str:
        """Return rows with their numbers, from 1, their scores and as many of their values as fit into a width."""
        table = self.table
        lines = [("row", "log_prob", *table.names)]
        for row in rows:
            lines.append((str(row + 1), f"{log_prob[row]:.4g}", *(value_text(column[row]) for column in table.columns)))
        used, shown = 0, 0
        for column in zip(*lines, strict=True):
            used += 2 + max(map(len, column))
            if used > width and shown >= 3:
                break
            shown += 1
        left = len(table.names) + 2 - shown
        columns = f"{left} more column{'s' if left > 1 else ''}"
        more = f"\n  and {columns}; a wider terminal, or a pipe, shows them" if left else ""
        return aligned([line[:shown] for line in lines], right=range(shown)) + more

    def summary(self, log_prob: Array, samples: int) -> Iterator[str]:
        """Give the mean, the number of impossible rows, and the error that a solver adds."""
        for note in self.table.notes:
            yield f"note: {note.sentence}"
        exactness = self.model.exactness
        possible = log_prob[np.isfinite(log_prob)]
        meaning = MEANING[exactness.symbol]
        if can_average(exactness):
            meaning += f" (average of {samples} draws)" if samples > 1 else " (one draw; --samples averages several)"
        elif samples > 1:
            meaning += "; --samples makes no difference"
        mean = joined(*mean_and_error(possible))
        yield f"{len(log_prob):,} rows: {exactness.symbol} {mean} nats per row, {meaning}"
        if len(possible) < len(log_prob):
            yield f"{impossible_text(len(log_prob) - len(possible), len(log_prob))}; the mean is over the others"
        solver = check_solver(self.model, self.rows)
        if solver is not None:
            yield f"{solver.sentence}; --exactly solves it so"

    def score_record(self, log_prob: Array, rows: Array, samples: int) -> dict[str, Any]:
        """Return the summary, and some rows with their numbers, scores and values."""
        possible = log_prob[np.isfinite(log_prob)]
        mean, error = mean_and_error(possible)
        values = [dict(zip(self.table.names, (c[row] for c in self.table.columns), strict=True)) for row in rows]
        return {
            "model": self.path,
            "table": self.source,
            "system": self.system,
            "rows": len(log_prob),
            "mean": mean,
            "standard_error": error,
            "impossible": len(log_prob) - len(possible),
            "symbol": self.model.exactness.symbol,
            "samples": samples if can_average(self.model.exactness) else 1,
            "least_likely": [
                {"row": int(row) + 1, "log_prob": log_prob[row], "values": entry}
                for row, entry in zip(rows, values, strict=True)
            ],
        }

    def sample(self, count: int, options: SampleOptions, seed: int, terminal: Terminal) -> None:
        """Draw rows and write them as a table."""
        drawn = self.draw(count, seed, extrapolate=options.extrapolate)
        write_table(drawn, options.out, formulas=not options.escape_formulas)
        if options.out != "-":
            terminal.tell(f"wrote {count:,} rows to {options.out}")

    def draw(self, count: int, seed: int, chunk: int = CHUNK, *, extrapolate: bool = False) -> Table:
        """Return new rows as a table of the same columns and types, by default within the ranges of the training table."""
        with isolated(self.model.device, seed):
            return self.schema.decode(draw_rows(self.model, count, chunk, extrapolate=extrapolate))

    def report(
        self, title: str | None, seed: int, terminal: Terminal, *, baselines: bool
    ) -> tuple[str, str, dict[str, Any]]:
        """Return a page about the rows of the table that were held out, or all of another table."""
        what, held, others, choice = self._choose_rows()
        terminal.tell(choice)
        held_rows = self.rows[held]
        log_prob = np.where(self.encoded.bad[held], -np.inf, row_scores(self.model, held_rows, seed))
        scores = []
        note = "not asked for" if len(others) else "the rows that the model was fitted to are not in this table"
        if baselines and len(others):
            scores, note = fit_baselines(self.schema, self.rows, others, held, seed), ""
        size = min(MOST_SAMPLES, max(FEWEST_SAMPLES, len(held)))
        solver = check_solver(self.model, held_rows)
        name = os.path.basename(self.source) if self.source != "-" else "standard input"
        inputs = table_inputs(
            self.model,
            held_rows,
            self.table.take(held),
            self.draw(size, seed, chunk=size),
            log_prob,
            scores,
            solver,
            seed,
            title=title or name,
            system=self.system,
            training=self.training,
            numbers=held + 1,
            settings={"model": self.path, "table": self.source, "rows": choice, "seed": seed, "samples": size},
            versions=self.training.get("versions", {}),
            created=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        )
        record = score_record(what, inputs.exactness, log_prob, scores, others, note, solver)
        return build_report(inputs), score_text(self.system, record), record

    def _choose_rows(self) -> tuple[str, Array, Array, str]:
        """Name and numbers of the rows to score, the rows that the model was fitted to, and a sentence about the choice."""
        path, every, none = self.source, np.arange(len(self.rows)), np.arange(0)
        holdout = Holdout.of(self.training)
        if holdout is None or holdout.digest != digest(self.rows):
            return "all", every, none, f"{path} is not the table of the fit, so all its {len(every):,} rows are used"
        parts = holdout.parts()
        if len(parts.held) == 0:
            return "all", every, none, f"no rows of {path} were held out, so its score is that of the training rows"
        sentence = f"{path} is the table of the fit, so its {len(parts.held):,} {parts.held_name} rows are used"
        return parts.held_name, parts.held, parts.others, sentence
