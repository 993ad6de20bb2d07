"""Held-out rows: their choice, their log-likelihoods, and the log-likelihoods of simple densities on the same rows."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from ..core import Exactness
from ..errors import DataError
from ..tables import Schema, TableModel
from ..training import split_rows
from .baselines import BaselineScore, baselines, mean_and_error, paired_difference, table_views
from .directional_baselines import directional_baselines, sphere_of
from .ranks import ScoreRanks
from .reconstruction import ReconstructionCheck, check_reconstruction
from .scores import log_likelihoods
from .solver_checks import SolverCheck, check_solver

Array = np.ndarray[Any, np.dtype[Any]]
MOST_RANKED = 20_000
"""Approximate number of training rows whose log-likelihoods give the percentiles of scores."""
FAR = 15.0
"""Distance below the median log-likelihood, in nats, beyond which a row is scored in float64."""


class Parts(NamedTuple):
    """Numbers of the rows of each part, from 0."""

    train: Array
    validation: Array
    test: Array

    @property
    def fitted(self) -> Array:
        """Rows that `fit` uses, for training and for validation."""
        return np.sort(np.concatenate([self.train, self.validation]))

    @property
    def held(self) -> Array:
        """Rows to score: the test rows, or the validation rows if there are no test rows."""
        return self.test if len(self.test) else self.validation

    @property
    def held_name(self) -> str:
        """Name of the rows to score: "test", "validation", or an empty text if no rows are held out."""
        return "test" if len(self.test) else "validation" if len(self.validation) else ""

    @property
    def others(self) -> Array:
        """Rows that are not scored; the baselines are fitted to them."""
        return self.fitted if len(self.test) else self.train


@dataclass(frozen=True)
class Holdout:
    """Split of the data: the test rows are drawn first, then `fit` draws the validation rows from the rest.

    Args:
        rows: Number of all rows.
        test: Fraction or number of rows for the test.
        validation: Fraction or number of the other rows for validation.
        seed: Seed of both draws.
        digest: Hash of the encoded table, to recognise the table later.
    """

    rows: int
    test: int | float
    validation: int | float
    seed: int
    digest: str = ""

    def parts(self, what: str = "rows") -> Parts:
        """Return the rows of each part.

        Args:
            what: Name of the rows in the error message.

        Raises:
            DataError: There are too few rows.
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

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> Holdout | None:
        """Return the split in a training record; None if the record has none."""
        split = training.get("split")
        known = {field.name for field in fields(cls)}
        return cls(**split) if isinstance(split, Mapping) and set(split) == known else None


def row_scores(model: TableModel, rows: Array, seed: int, samples: int = 1) -> Array:
    """Return the log-likelihood (N,) of encoded rows (N, C), in nats and raw units; see `log_likelihoods`.

    Rows far out in heavy tails lose up to three digits in float32. Rows far below the median are therefore computed again in
    float64.

    Args:
        model: Model of the table.
        rows: Encoded rows (N, C).
        seed: Seed of the noise, for models whose log-likelihood is random.
        samples: Number of draws that are averaged for each row.
    """
    scores = log_likelihoods(model, rows, samples=samples, seed=seed).numpy()
    far = np.flatnonzero(scores < np.median(scores) - FAR)
    if len(far) and model.exactness == Exactness.EXACT and model.device.type == "cpu":
        scores[far] = log_likelihoods(copy.deepcopy(model).double(), rows[far], seed=seed).numpy()
    return scores


def fit_baselines(
    schema: Schema, rows: Array, others: Array, held: Array, seed: int, model: TableModel | None = None
) -> list[BaselineScore]:
    """Return the scores of simple densities on the held-out rows of a table, fitted to the others.

    For a model of unit vectors the densities are ones on the sphere, in the same units.

    Args:
        schema: Columns of the table.
        rows: All rows, encoded.
        others: Numbers of the rows to fit to.
        held: Numbers of the rows to score.
        seed: Seed of the fits.
        model: Model of the table with which the densities are compared.

    Raises:
        DataError: scikit-learn is not installed, there are too few rows, or the model is a density on a surface.
    """
    if model is not None and model.spec is not None and model.spec.on_surface:
        raise DataError("densities of whole rows cannot be compared with a density on a surface")
    sphere = None if model is None else sphere_of(model)
    if sphere is not None and len(schema.columns) == sphere.size:
        return directional_baselines(sphere, rows[others], rows[held])
    columns: dict[str, Array] = {}
    kinds: dict[str, str] = {}
    for column, values in zip(schema.columns, rows.T, strict=True):
        columns[column.name], kinds[column.name] = values, column.kind
        if column.numeric and column.spikes:
            spike = np.isin(values, column.spikes)
            columns[column.name] = np.where(spike, np.nan, values)
            # A spike is a single value with a probability of its own, such as 0. It becomes a label in a column of its own, and
            # the numeric column has a missing value there: a density would be infinite at a value that many rows share.
            columns[f"{column.name} spike"] = np.where(spike, values, np.nan)
            kinds[f"{column.name} spike"] = "categorical"
    train, test = ({name: values[part] for name, values in columns.items()} for part in (others, held))
    return baselines(*table_views(train, test, kinds, seed=seed), seed=seed)


def score_held_out(
    model: TableModel, rows: Array, parts: Parts, seed: int, *, baselines: bool = True
) -> dict[str, Any] | None:
    """Return the score of a model on the held-out rows beside the baselines, as plain values; None if no rows were held out.

    Args:
        model: Model of the table.
        rows: All rows, encoded.
        parts: Parts of the rows.
        seed: Seed of noise and of the baselines.
        baselines: Whether simple densities are fitted; if they cannot be, the record has the reason.
    """
    held, others = parts.held, parts.others
    if len(held) == 0:
        return None
    log_prob = row_scores(model, rows[held], seed)
    scores: list[BaselineScore] = []
    note = "they were not requested"
    if baselines:
        try:
            scores, note = fit_baselines(model.schema, rows, others, held, seed, model), ""
        except DataError as error:
            note = str(error)
    check = check_solver(model, rows[held]) or check_reconstruction(model, rows[held])
    return score_record(parts.held_name, model.exactness.symbol, log_prob, scores, others, note, check)


def training_quantiles(model: TableModel, rows: Array, parts: Parts, seed: int) -> list[float]:
    """Return the quantiles of the log-likelihoods of training rows, which give the percentiles of scores.

    Args:
        model: Model of the table.
        rows: All rows, encoded.
        parts: Parts of the rows.
        seed: Seed of the noise of models that have some.
    """
    train = parts.train[:: max(1, len(parts.train) // MOST_RANKED)]
    return ScoreRanks.from_scores(row_scores(model, rows[train], seed)).to_list()


def score_record(
    what: str,
    symbol: str,
    log_prob: Array,
    scores: Sequence[BaselineScore],
    others: Array,
    note: str = "",
    check: SolverCheck | ReconstructionCheck | None = None,
) -> dict[str, Any]:
    """Return held-out scores as plain values, in nats per row and raw units.

    Args:
        what: Name of the held-out rows: "test", "validation" or "all".
        symbol: Symbol of the model's exactness.
        log_prob: Log-likelihood of each held-out row.
        scores: Scores of the baselines; the gain of the model over each baseline is computed row by row.
        others: Numbers of the rows that the baselines were fitted to.
        note: Reason why there are no baselines.
        check: Error of the solvers of the model, or of its reconstructions; None for other models.
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
        "solver": None if check is None else {**asdict(check), "sentence": check.sentence},
    }
