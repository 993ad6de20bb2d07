"""Which rows of a table train the model, which stop the training, and which are kept for the score beside the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..evaluation import BaselineScore, SolverCheck, baselines, mean_and_error, paired_difference, table_views
from ..tables import Schema, Table
from ..training import split_rows

Array = np.ndarray[Any, np.dtype[Any]]


class Parts(NamedTuple):
    """Numbers of the rows of each part, from 0."""

    train: Array
    validation: Array
    test: Array

    @property
    def fitted(self) -> Array:
        """Rows that `fit` sees: for training and for validation."""
        return np.sort(np.concatenate([self.train, self.validation]))

    @property
    def held(self) -> Array:
        """Rows to score: the test rows, without any the validation rows."""
        return self.test if len(self.test) else self.validation

    @property
    def held_name(self) -> str:
        """What they are."""
        return "test" if len(self.test) else "validation" if len(self.validation) else ""

    @property
    def others(self) -> Array:
        """Rows that are not scored, for the baselines."""
        return self.fitted if len(self.test) else self.train


@dataclass(frozen=True)
class Holdout:
    """How a table was split: first the test rows are drawn, then, by `fit` from the rest, the validation rows.

    Args:
        rows: of the table.
        test: fraction or number of rows.
        validation: fraction or number of the rest.
        seed: of both draws.
        digest: of the encoded table, to know it again.
    """

    rows: int
    test: int | float
    validation: int | float
    seed: int
    digest: str = ""

    def parts(self, what: str = "rows") -> Parts:
        """The rows of each part.

        Args:
            what: they are, for the message.

        Raises:
            DataError: there are too few.
        """
        try:
            rest, test = (part.numpy() for part in split_rows(self.rows, self.test, self.seed))
            train, validation = (part.numpy() for part in split_rows(len(rest), self.validation, self.seed))
        except DataError:
            raise DataError(
                f"expected at least 2 {what} to train on, got {self.rows} {what} with --test {self.test:g} and "
                f"--validation {self.validation:g} taken away; give more {what}, or smaller parts (0 for none)"
            ) from None
        return Parts(rest[train], rest[validation], test)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> Holdout | None:
        """The one in a training record; None when there is none."""
        split = training.get("split")
        known = {field.name for field in fields(cls)}
        return cls(**split) if isinstance(split, Mapping) and set(split) == known else None


def fit_baselines(schema: Schema, table: Table, others: Array, held: Array, seed: int) -> list[BaselineScore]:
    """Scores of simple densities on the held-out rows, fitted to the others.

    Raises:
        DataError: scikit-learn is not installed, or there are too few rows.
    """
    kinds = {column.name: column.kind for column in schema.columns}
    train, test = (table.take(rows) for rows in (others, held))
    views = table_views(
        dict(zip(train.names, train.columns, strict=True)),
        dict(zip(test.names, test.columns, strict=True)),
        kinds,
        seed=seed,
    )
    return baselines(*views, seed=seed)


def score_record(
    what: str,
    symbol: str,
    log_prob: Array,
    scores: list[BaselineScore],
    others: Array,
    note: str = "",
    solver: SolverCheck | None = None,
) -> dict[str, Any]:
    """Held-out scores as plain values: nats per row in raw units.

    Args:
        what: name of the held-out rows: "test", "validation" or "all".
        symbol: of the exactness.
        log_prob: of each of them.
        scores: of the baselines, with the gain of the model over each, row by row.
        others: rows that the baselines were fitted to.
        note: why there are no baselines.
        solver: what approximations of the model do to its numbers, where it makes any.
    """
    mean, error = mean_and_error(log_prob)
    entries = []
    for score in scores:
        entry = {"name": score.name, "mean": score.mean, "standard_error": score.standard_error, "note": score.note}
        if not score.skipped:
            gain = paired_difference(log_prob, score.per_row)
            entry |= {"gain": gain.mean, "gain_standard_error": gain.standard_error}
        entries.append(entry)
    return {
        "rows": what,
        "count": len(log_prob),
        "symbol": symbol,
        "mean": mean,
        "standard_error": error,
        "impossible": int(np.isneginf(log_prob).sum()),
        "baselines": entries,
        "baseline_rows": len(others),
        "note": note,
        "solver": None if solver is None else {**asdict(solver), "sentence": solver.sentence},
    }
