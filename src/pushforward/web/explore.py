"""Answers to the questions of the page: columns, scores, draws under conditions, scores of rows, tables of samples.

Every question is a dictionary of plain values from JSON, and so is every answer. Nothing here knows about HTTP.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import DataError, brief, listed
from ..evaluation.explain import UNUSUAL, entry_probabilities, reasons
from ..evaluation.ranks import ScoreRanks
from ..fitted_table import FittedTable, TableRows
from ..tables import Table
from ..tables.coding import Findings, to_codes, to_numbers, to_values
from ..tables.conditions import keeping
from ..tables.describe import column_rows, schema_notes, sentences, shown_number, shown_values
from ..tables.entry_numbers import entry_number
from ..tables.formats import as_csv
from ..tables.formulas import escape_formulas
from ..tables.row_space import TIMES, Column
from ..tables.schema import Encoded
from .questions import Body, estimate_text, require_known, whole_number

Array = np.ndarray[Any, np.dtype[Any]]
MOST_POINTS = 5000
"""Rows of data, or samples, that are drawn in a plot."""
MOST_DOWNLOADED = 100_000
"""Samples in one download."""
MOST_SCORED = 20_000
"""Rows of a table that are scored to find the least likely ones."""
SHOWN = 12
"""Least likely rows that are shown."""
MOST_EXPLAINED = 300
"""Entries that are explained among the least likely rows, because each one takes about a hundred log-likelihoods."""
ORDINARY = 5.0
"""Percentile from which a row without unusual entries is not called rare."""
ROUNDS = 12
"""Rounds of draws for a plot, so that an answer does not take long."""
LONGEST_ENTRY = 1000
"""Characters of a typed entry."""
MEANINGS = {
    "=": "The log-likelihood is exact.",
    ">=": "The log-likelihood is a lower bound.",
    "<=": "The log-likelihood is an upper bound.",
    "~": "The log-likelihood is an estimate.",
}


@dataclass(frozen=True)
class ShownColumn:
    """A column that can be plotted and put under conditions.

    Args:
        column: The column.
        typed: Whether it is part of a typed row; computed columns follow from the others.
        low: Lower end of its slider, as a number of the encoded row.
        high: Upper end of its slider.
    """

    column: Column
    typed: bool
    low: float
    high: float

    @property
    def digits(self) -> int:
        """Number of decimals in which its numbers are shown."""
        if self.column.kind == "integer" or self.column.storage in TIMES:
            return 0
        spread = self.high - self.low
        enough = 2 - math.floor(math.log10(spread)) if spread > 0 and math.isfinite(spread) else 3
        return min(12, max(0, enough))

    def to_dict(self) -> dict[str, Any]:
        """Return what the page needs to draw and to ask."""
        column = self.column
        kind = "label" if column.categories else column.storage if column.storage in TIMES else "number"
        return {
            "name": column.name,
            "kind": kind,
            "labels": list(column.categories),
            "low": self.low,
            "high": self.high,
            "step": column.step,
            "digits": self.digits,
            "whole": column.kind == "integer",
            "missing": column.missing,
            "typed": self.typed,
            "zone": column.zone,
        }


@dataclass(frozen=True)
class Samples:
    """Table of samples as text.

    Args:
        text: CSV.
        count: Number of rows.
        acceptance: Share of the draws that keep the conditions.
    """

    text: str
    count: int
    acceptance: float


class Explorer:
    """A model of a table, and the rows that the page shows beside its samples.

    Args:
        fitted: The model.
        rows: Rows of a table; None for no table.
        seed: Seed of the draws, to which the seed of each question is added.
    """

    page: ClassVar[str] = "page"
    """Name of the files of the page."""

    def __init__(self, fitted: FittedTable, rows: TableRows | None = None, seed: int = 0) -> None:
        self.fitted, self.rows, self.seed = fitted, rows, seed
        self.ranks = ScoreRanks.of(fitted.training)
        self.columns = {column.name: column for column in fitted.schema.columns}
        self.fields = self._fields()
        self.data, self.choice = self._shown_rows()
        self._last: tuple[str, tuple[Table, float, bool]] | None = None

    @property
    def questions(self) -> dict[str, Callable[[Body], Any]]:
        """The questions of the page by name."""
        return {
            "summary": self.summary,
            "draw": self.draw,
            "row": self.row,
            "score": self.score,
            "least": self.least,
            "samples": self.samples,
        }

    def _fields(self) -> dict[str, ShownColumn]:
        schema = self.fitted.schema
        drawn = self.fitted.draw(1000, self.seed)
        columns = [(column, True) for column in schema.columns if column.kind != "constant"]
        columns += [(beside.column, False) for beside in schema.beside if beside.role == "computed"]
        found = {}
        for column, typed in columns:
            numbers = _numbers(column, drawn)
            present = numbers[np.isfinite(numbers)]
            low, high = (float(present.min()), float(present.max())) if len(present) else (0.0, 0.0)
            if column.categories:
                low, high = 0.0, float(len(column.categories) - 1)
            elif column.seen is not None and np.isfinite(column.seen).all():
                low, high = column.seen
            found[column.name] = ShownColumn(column, typed, low, high)
        order = [name for name in schema.order or schema.names if name in found]
        return {name: found[name] for name in order}

    def _shown_rows(self) -> tuple[Table | None, str]:
        """Return the rows for the plots, and a sentence on which they are."""
        if self.rows is None:
            return None, "Without a table there are only samples; give one as the second argument."
        name, count = os.path.basename(self.rows.name) or "the table", self.rows.table.n_rows
        usable = np.flatnonzero(~self.rows.encoded.bad)
        if len(usable) > MOST_POINTS:
            usable = np.sort(np.random.default_rng(0).choice(usable, MOST_POINTS, replace=False))
        which = "all rows" if len(usable) == count else f"{len(usable):,} of the {count:,} rows"
        return self.fitted.schema.decode(self.rows.encoded.rows[usable]), f"The data are {which} of {name}."

    def summary(self, body: Body) -> dict[str, Any]:
        """Return the model's facts, the columns, the score beside the baselines, and what the page can ask."""
        require_known(body)
        schema, training = self.fitted.schema, self.fitted.training
        if self.rows is None:
            columns = {
                c.name: (c.name, c.shown_kind, shown_values(c), "possible" if c.missing else "") for c in schema.columns
            }
            columns |= {b.name: (b.name, b.role, b.why, "") for b in schema.beside}
            listing, notes = [columns[name] for name in schema.order or schema.names], []
        else:
            encoded = self.rows.encoded.rows
            listing = column_rows(schema, self.rows.table, encoded)
            notes = sentences(schema_notes(schema, self.rows.table, encoded))
        return {
            "title": os.path.basename(self.fitted.path) or "A model of a table",
            "system": self.fitted.system,
            "table": "" if self.rows is None else os.path.basename(self.rows.name) or "the table",
            "rows": 0 if self.rows is None else self.rows.table.n_rows,
            "trained": training.get("train_rows"),
            "meaning": MEANINGS[self.fitted.model.exactness.symbol],
            "choice": self.choice,
            "columns": [list(row) for row in listing],
            "notes": [note.removeprefix("note: ") for note in notes],
            "scores": self._scores(),
            "fields": [field.to_dict() for field in self.fields.values()],
            "most": MOST_DOWNLOADED,
        }

    def _scores(self) -> dict[str, Any] | None:
        scores = self.fitted.training.get("scores")
        if not isinstance(scores, Mapping) or "mean" not in scores:
            return None
        own = {"name": self.fitted.system, "score": estimate_text(scores["mean"], scores["standard_error"]), "gain": ""}
        lines = [{**own, "note": "", "own": True}]
        for entry in scores["baselines"]:
            gain = estimate_text(entry["gain"], entry["gain_standard_error"], sign=True) if "gain" in entry else ""
            score = estimate_text(entry["mean"], entry["standard_error"]) if "gain" in entry else "-"
            lines.append({"name": entry["name"], "score": score, "gain": gain, "note": entry["note"], "own": False})
        return {"rows": scores["rows"], "count": scores["count"], "symbol": scores["symbol"], "lines": lines}

    def draw(self, body: Body) -> dict[str, Any]:
        """Return the values of one or two columns in data and in samples that keep conditions.

        Args:
            body: "x" and "y" (names of columns; "y" can be null), "given" (conditions), "n" and "seed".

        Raises:
            DataError: A column, a condition or a number cannot be used, or no draw keeps the conditions.
        """
        require_known(body, "x", "y", "given", "n", "seed")
        fields = [self._field(body.get("x"))]
        fields += [] if body.get("y") is None else [self._field(body["y"])]
        count = whole_number(body, "n", 1000, 1, MOST_POINTS)
        seed = self._seed(body)
        given = self._given(body)
        samples, acceptance, exact = self._conditional(given, count, seed, ROUNDS)
        data = None if self.data is None else self.data.take(keeping(self.data, given))
        data = data if data is None or data.n_rows <= count else data.take(np.arange(count))
        values = [
            {
                "name": field.column.name,
                "data": [] if data is None else _plain(_numbers(field.column, data)),
                "samples": _plain(_numbers(field.column, samples)),
            }
            for field in fields
        ]
        return {
            "values": values,
            "samples": samples.n_rows,
            "acceptance": acceptance,
            "conditions": len(given),
            "exact": exact,
        }

    def _conditional(self, given: dict[str, Any], count: int, seed: int, rounds: int) -> tuple[Table, float, bool]:
        """Return draws that keep conditions, the acceptance, and whether exact conditionals gave them.

        The last draws are kept for other columns of the same rows.
        """
        key = repr((given, count, seed, rounds))
        if self._last is None or self._last[0] != key:
            if given:
                found = self._tables.conditional(given, count, seed=seed, rounds=rounds)
                self._last = key, (found.rows, found.acceptance, found.exact)
            else:
                self._last = key, (self.fitted.draw(count, seed), 1.0, False)
        return self._last[1]

    @functools.cached_property
    def _tables(self) -> FittedTable:
        """The model, with answers as tables."""
        return FittedTable(self.fitted.model, self.fitted.training, path=self.fitted.path)

    def row(self, body: Body) -> dict[str, Any]:
        """Return one sample that keeps conditions, as entries of the form.

        Raises:
            DataError: A condition cannot be used, or no draw keeps the conditions.
        """
        require_known(body, "given", "seed")
        seed = self._seed(body)
        samples, _, _ = self._conditional(self._given(body), 1, seed, ROUNDS)
        entries = {}
        for name, field in self.fields.items():
            if field.typed:
                entries[name] = _entry_text(field.column, float(_numbers(field.column, samples)[0]))
        return {"entries": entries}

    def score(self, body: Body) -> dict[str, Any]:
        """Return the log-likelihood of a typed row, its percentile, and how unusual each entry is.

        Args:
            body: "entries": texts by column; null for a missing value.

        Raises:
            DataError: A column is missing or unknown, or an entry is no value of its column.
        """
        require_known(body, "entries")
        entries = body.get("entries")
        if not isinstance(entries, Mapping):
            raise DataError(f"expected entries by column, got {brief(entries)}")
        typed = {name: field.column for name, field in self.fields.items() if field.typed}
        unknown = [name for name in entries if name not in typed]
        if unknown:
            raise DataError(f"expected entries of the columns {listed(typed)}, got also {listed(unknown)}")
        encoded = np.array([[_encoded(column, entries.get(column.name)) for column in self.fitted.schema.columns]])
        names = [name for name in self.fields if name in self.columns]
        return self._judged(_rows_of(encoded), np.array([0]), names)[0]

    def least(self, body: Body) -> dict[str, Any]:
        """Return the least likely rows of the table, with their entries and reasons.

        Raises:
            DataError: There is no table.
        """
        require_known(body)
        return self._least

    @functools.cached_property
    def _least(self) -> dict[str, Any]:
        if self.rows is None:
            raise DataError("expected a table to find its least likely rows, got none; give one as the second argument")
        count = min(MOST_SCORED, self.rows.table.n_rows)
        part, encoded = np.arange(count), self.rows.encoded
        notes = {row: note for row, note in encoded.notes.items() if row < count}
        asked = TableRows(
            self.rows.name, self.rows.table.take(part), Encoded(encoded.rows[:count], encoded.bad[:count], notes)
        )
        log_prob = self.fitted.log_prob(asked, seed=self.seed)
        order = np.argsort(log_prob, kind="stable")[:SHOWN]
        names = [name for name in self.fields if name in self.columns]
        found = self._judged(asked, order, names, log_prob)
        scored = "all" if count == self.rows.table.n_rows else f"the first {count:,} of"
        text = f"The {len(found)} least likely of {scored} {self.rows.table.n_rows:,} rows."
        return {"names": names, "rows": found, "sentence": text}

    def _judged(
        self, asked: TableRows, rows: Array, names: list[str], log_prob: Array | None = None
    ) -> list[dict[str, Any]]:
        """Return scores of rows, and how unusual each entry is; for a row that cannot be scored, why not."""
        encoded = asked.encoded
        log_prob = self.fitted.log_prob(asked, seed=self.seed) if log_prob is None else log_prob
        notes = self.fitted.notes(asked, log_prob)
        usable = np.isfinite(log_prob[rows])
        explained = usable & (np.arange(len(rows)) < max(1, MOST_EXPLAINED // encoded.rows.shape[1]))
        chances = np.ones((len(rows), encoded.rows.shape[1]))
        if explained.any():
            with torch.no_grad():
                chances[explained] = entry_probabilities(self.fitted.model, encoded.rows[rows[explained]], self.seed)
        texts = reasons(self.fitted.schema, encoded.rows[rows], chances)
        where = {column.name: i for i, column in enumerate(self.fitted.schema.columns)}
        found = []
        for n, row in enumerate(rows.tolist()):
            entries = []
            for name in names:
                i = where[name]
                chance = float(chances[n, i])
                shown = _shown(self.columns[name], encoded.rows[row, i])
                if encoded.bad[row] and name in asked.table.names:
                    shown = str(asked.table[name][row])
                entry = {"name": name, "value": shown, "unusual": bool(explained[n] and chance <= UNUSUAL)}
                entries.append({**entry, "p": chance if explained[n] else None})
            score = float(log_prob[row])
            ranked = None if self.ranks is None else float(self.ranks.percentiles(np.array([score]))[0])
            why = texts[n] if explained[n] else notes[row]
            if explained[n] and chances[n].min() > UNUSUAL and ranked is not None and ranked >= ORDINARY:
                why = "no entry is unusual, given the others"
            found.append(
                {
                    "row": row + 1,
                    "log_prob": score if math.isfinite(score) else None,
                    "percentile": ranked,
                    "why": why,
                    "entries": entries,
                }
            )
        return found

    def samples(self, body: Body) -> Samples:
        """Return a table of samples as CSV.

        Args:
            body: "n", "given", "seed", and "quoted": whether texts that a spreadsheet would run get a single quote before.

        Raises:
            DataError: The number or a condition cannot be used, or no draw keeps the conditions.
        """
        require_known(body, "n", "given", "seed", "quoted")
        count = whole_number(body, "n", 1000, 1, MOST_DOWNLOADED)
        seed = self._seed(body)
        table, acceptance, _ = self._conditional(self._given(body), count, seed, 4 * ROUNDS)
        columns = dict(zip(table.names, table.columns, strict=True))
        if body.get("quoted", True):
            columns = escape_formulas(columns)
        zones = {name: zone for name, zone in table.zones.items() if name in columns}
        return Samples(as_csv(columns, zones), table.n_rows, acceptance)

    def _seed(self, body: Body) -> int:
        return (self.seed + whole_number(body, "seed", 0, 0, 2**31 - 1)) % 2**63

    def _field(self, name: Any) -> ShownColumn:
        if not isinstance(name, str) or name not in self.fields:
            raise DataError(f"expected one of the columns {listed(self.fields)}, got {brief(name)}")
        return self.fields[name]

    def _given(self, body: Body) -> dict[str, Any]:
        """Return conditions as values of the table: labels, None, and pairs of bounds."""
        given = body.get("given") or {}
        if not isinstance(given, Mapping):
            raise DataError(f"expected conditions by column, got {brief(given)}")
        found: dict[str, Any] = {}
        for name, wanted in given.items():
            field = self._field(name)
            if isinstance(wanted, Mapping) and set(wanted) == {"label"}:
                found[name] = self._label(field, wanted["label"])
            elif isinstance(wanted, Mapping) and set(wanted) == {"low", "high"} and not field.column.categories:
                low, high = (_bound(field.column, wanted[side]) for side in ("low", "high"))
                if low is not None or high is not None:
                    found[name] = low, high
            else:
                kind = "a label" if field.column.categories else "low and high"
                raise DataError(f"expected {kind} as the condition on column {brief(name)}, got {brief(wanted)}")
        return found

    @staticmethod
    def _label(field: ShownColumn, label: Any) -> Any:
        column = field.column
        if label is None and column.missing:
            return None
        if not isinstance(label, str) or label not in column.categories:
            raise DataError(
                f"expected one of the labels {listed(column.categories)} in column {brief(column.name)}, got {brief(label)}"
            )
        return to_values(column, np.array([float(column.categories.index(label))])).tolist()[0]


def _rows_of(encoded: Array) -> TableRows:
    """Return typed rows, which are complete and of the right types."""
    bad = np.zeros(len(encoded), dtype=bool)
    return TableRows("", Table(("row",), (np.arange(len(encoded)),)), Encoded(encoded, bad, {}))


def _bound(column: Column, value: Any) -> Any:
    """Return a bound as a value of the table; None for no bound."""
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 2.0**62:
        raise DataError(f"expected a finite number as a bound of column {brief(column.name)}, got {brief(value)}")
    if column.storage not in TIMES:
        return float(value)
    if not abs(value * column.step) < 2.0**58:
        raise DataError(
            f"expected a date within its range as a bound of column {brief(column.name)}, got {brief(value)}"
        )
    return to_values(column, np.array([float(value)]))[0]


def _encoded(column: Column, entry: Any) -> float:
    """Return a typed entry as the number that it has in a row.

    Raises:
        DataError: It is no value of the column.
    """
    where = f"in column {brief(column.name)}"
    if column.kind == "constant":
        return column.value
    if entry is not None and (not isinstance(entry, str) or len(entry) > LONGEST_ENTRY):
        raise DataError(f"expected a text {where}, got {brief(entry)}")
    if entry is None or (entry.strip() == "" and not column.categories):
        if column.missing:
            return math.nan
        raise DataError(f"expected a value {where}, got none; the table of the fit had no missing values there")
    return entry_number(column, entry)


def _numbers(column: Column, table: Table) -> Array:
    """Return a column of decoded rows as numbers: labels as codes, dates as steps, NaN for missing values."""
    if column.categories:
        return to_codes(column, table[column.name], Findings(table.n_rows, strict=False))
    return to_numbers(column.name, table, Findings(table.n_rows, strict=False), column.step)


def _entry_text(column: Column, number: float) -> str | None:
    """Return a value as the form has it; None for a missing one."""
    if math.isnan(number):
        return None
    if column.categories:
        return column.categories[int(number)]
    if column.storage in TIMES:
        return shown_number(column, number).replace(" ", "T")
    return f"{number:.10g}"


def _shown(column: Column, number: float) -> str:
    text = _entry_text(column, number)
    return "missing" if text is None else text


def _plain(numbers: Array) -> list[float | None]:
    return [number if math.isfinite(number) else None for number in numbers.tolist()]
