"""Models of tables from files: log-likelihoods of rows, new rows, and the report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from ..errors import listed
from ..evaluation import BiLipschitz, bi_lipschitz, can_average, check_reconstruction, check_solver, mean_and_error
from ..fitted_table import FittedTable
from ..output import require_writable
from ..tables import AnyOrderTable, ObservedTable, Table, TableModel, read_table, write_table
from ..tables.conditions import parse_conditions
from ..tables.describe import sentences, wrapped_notes
from ..tables.formats import SUFFIXES, TEXT
from ..training.random_state import isolated
from .console import MEANING, Terminal, aligned, impossible_text, joined, score_text, value_text
from .options import ImputeOptions, ReadOptions, ReportOptions, SampleOptions, ScoreOptions, UsageError
from .task import TrainedModel, require_suffix

Array = np.ndarray[Any, np.dtype[Any]]
CHECKED = 512
"""Largest number of rows at which the constants of a flow are measured."""


class TrainedTable(TrainedModel):
    """Model of a table from a file, and the table to score with it.

    Args:
        path: Path of the file.
        fitted: The model.
    """

    default_samples = 1000
    prints_scores = True

    def __init__(self, path: str, fitted: FittedTable) -> None:
        super().__init__(path, fitted.model, fitted.training)
        self.fitted = fitted

    @classmethod
    def open(cls, path: str, device: torch.device) -> Self:
        """Return a model of a table from a file."""
        return cls(path, FittedTable.load(path, device))

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
                f"--temperature, --label and --nearest are for models of pictures, and {path} is a model of a table; "
                "leave them out"
            )
        require_table_output(options.out, [path], escape_formulas=options.escape_formulas)

    def prepare(self, source: str, drop: Sequence[str], reading: ReadOptions) -> None:
        """Read a table for this model, without the columns that were dropped when it was fitted."""
        entries = reading.reading(self.fitted.schema.hints)
        table = read_table(source, reading=entries, **reading.limits())
        table = table.without(drop).without([name for name in self.dropped(table) if name not in drop])
        self.asked = self.fitted.read(table, entries, source)
        self.source, self.table = source, table

    def dropped(self, table: Table) -> list[str]:
        """Return the columns of a table that were dropped when the model was fitted."""
        return [name for name in self.training.get("data", {}).get("dropped", ()) if name in table.names]

    def solve_exactly(self) -> None:
        """Replace the model by its exact version, whose solvers, traces and series are exact up to rounding."""
        super().solve_exactly()
        self.fitted.model = self.model

    def log_likelihoods(self, samples: int, seed: int) -> Array:
        """Return the log-likelihood of each row, in nats and the units of the table; -inf for a row that cannot be scored."""
        return self.fitted.log_prob(self.asked, samples, seed)

    def score_table(self, log_prob: Array, options: ScoreOptions, seed: int) -> Table:
        """Return a table of scores: row numbers, identifiers, log-likelihoods, percentiles, outliers and notes."""
        return self.fitted.score_table(
            self.asked, log_prob, contamination=options.contamination, explain=options.explain, seed=seed
        )

    def least_likely(self, log_prob: Array, rows: Array, width: int) -> str:
        """Return rows with their numbers (from 1), their scores, and as many of their values as fit into the width."""
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
        more = f"\n  and {columns}; they are shown in a wider terminal, or if the output goes to a pipe" if left else ""
        return aligned([line[:shown] for line in lines], right=range(shown)) + more

    def summary(self, log_prob: Array, samples: int) -> Iterator[str]:
        """Yield lines with the mean, the number of rows of probability zero, and the error that a solver adds."""
        for note in self.table.notes:
            yield f"note: {note.sentence}"
        yield from sentences(wrapped_notes(self.fitted.schema, self.table))
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
        if isinstance(self.model, AnyOrderTable):
            spread = self.model.order_spread(self.asked.encoded.rows[np.isfinite(log_prob)])
            count = len(self.model.rows.ranks)
            yield (f"log_prob averages {count} orders of the columns, which differ by {spread.mean():.3f} nats")
        solver = check_solver(self.model, self.asked.encoded.rows)
        if solver is not None:
            yield f"{solver.sentence}; use --exactly for exact scores"
        reconstruction = check_reconstruction(self.model, self.asked.encoded.rows)
        if reconstruction is not None:
            yield reconstruction.sentence
        if self.model.spec is not None and self.model.spec.on_surface:
            yield "scores are densities of the projections of the rows, with respect to the volume of the surface"

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
        if options.where:
            drawn = self._conditional(count, options, seed, terminal)
        else:
            drawn = self.fitted.draw(count, seed, extrapolate=options.extrapolate)
        write_table(drawn, options.out, formulas=not options.escape_formulas)
        if options.out != "-":
            terminal.tell(f"wrote {drawn.n_rows:,} rows to {options.out}")

    def _conditional(self, count: int, options: SampleOptions, seed: int, terminal: Terminal) -> Table:
        """Return rows that meet the conditions, and print how they were found."""
        schema = self.fitted.schema
        given = parse_conditions(schema, options.where)
        found = self.fitted.meeting(given, count, seed, extrapolate=options.extrapolate)
        for warning in found.warnings:
            terminal.warn(f"warning: {warning}")
        share = f"{found.acceptance:.2%}"
        if found.exact:
            others = "" if found.acceptance == 1 else f"; {share} of these draws meet the other conditions"
            terminal.tell(f"rows are drawn given the values that are fixed{others}")
        else:
            why, instead = "has no exact conditionals", "fit with --flow any-order to draw given values"
            if isinstance(self.model, ObservedTable):
                names = listed([schema.columns[i].name for i in sorted(self.model.observed)])
                why, instead = "has exact draws only given all observed columns", f"give the values of {names}"
            terminal.tell(
                f"{self.system} {why}, so rows are drawn until they meet the conditions: {share} of the draws do; {instead}"
            )
        if len(found.rows) < count:
            terminal.warn(f"warning: only {len(found.rows):,} of {count:,} rows were found that meet the conditions")
        return schema.decode(found.rows)

    def impute(self, table: Table, options: ImputeOptions, seed: int, terminal: Terminal) -> None:
        """Fill in the missing values of a table, and write it."""
        for note in table.notes:
            terminal.tell(f"note: {note.sentence}")
        gaps = np.isnan(self.fitted.schema.encode_gaps(table))
        varying = np.array([column.kind != "constant" or column.missing for column in self.fitted.schema.columns])
        filled = self.fitted.filled(table, options.draws, seed, point=options.point)
        empty = np.flatnonzero(gaps[:, varying].all(1))
        if len(empty):
            rows = "row is" if len(empty) == 1 else "rows are"
            terminal.warn(
                f"warning: {len(empty):,} {rows} without any entry, such as row {empty[0] + 1}, and filled from the whole model"
            )
        write_table(filled, options.out, formulas=not options.escape_formulas)
        terminal.tell(f"filled {int(gaps.sum()):,} missing values in {int(gaps.any(1).sum()):,} of {len(gaps):,} rows")
        if options.out != "-":
            terminal.tell(f"wrote {options.out}")

    def report(
        self, title: str | None, seed: int, terminal: Terminal, *, baselines: bool
    ) -> tuple[str, str, dict[str, Any]]:
        """Return a page about the held-out rows of the table, or about all rows of another table."""
        name = os.path.basename(self.source) if self.source != "-" else "standard input"
        page, record, choice = self.fitted.page(self.asked, title=title or name, seed=seed, baselines=baselines)
        terminal.tell(choice)
        return page, score_text(self.system, record), record

    def constants(self, seed: int) -> BiLipschitz:
        """Return the realised bi-Lipschitz constants at some rows, between standardised numbers and latent codes.

        Raises:
            UsageError: The table has no column of numbers, or the model is not a flow.
        """
        rows = self.asked.encoded.rows[~self.asked.encoded.bad][:CHECKED]
        if not isinstance(self.model, TableModel) or self.model.numbers is None:
            raise UsageError(
                f"--constants is for flows of numbers, got a model of the system {self.system}; leave it out"
            )
        with isolated(self.model.device, seed), torch.no_grad():
            inner, events, code = self.model.behind_columns(torch.from_numpy(rows).to(self.model.device))
        return bi_lipschitz(inner, events, code, seed=seed)


def require_table_output(out: str, inputs: Sequence[str], *, escape_formulas: bool) -> None:
    """Refuse an output for a table that cannot be written, or that cannot have escaped formulas.

    Raises:
        UsageError: The suffix is unknown, or the type of file has no formulas to escape.
    """
    require_suffix(out, "--out", SUFFIXES)
    if escape_formulas and out != "-" and Path(out).suffix.lower() not in TEXT:
        raise UsageError(f"--escape-formulas is for {', '.join(TEXT)} and standard output, got {out}; leave it out")
    require_writable(out, "--out", inputs)
