"""Comparison of two tables: drift of data, or fidelity and privacy of synthetic rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tables import Schema
from ..tables.schema import Encoded
from .two_sample import TwoSampleScore, two_sample_score

Array = np.ndarray[Any, np.dtype[Any]]
FEWEST = 8
"""Smallest number of rows of each table that a classifier can compare."""
MOST_ROWS = 5000
"""Largest number of rows of each table whose nearest rows are searched."""
BLOCK = 500
"""Number of rows whose distances to all others are held in memory at once."""


@dataclass(frozen=True)
class ColumnDistance:
    """Distance of the distributions of a column in two tables.

    Args:
        column: Name of the column.
        distance: Distance in [0, 1]: for numbers the largest difference of the two distribution functions (Kolmogorov-Smirnov),
            for labels half the sum of the absolute differences of their shares (total variation).
        by_chance: Mean of that distance for two samples of these sizes from the same distribution.
        missing: Share of missing values in each table.
    """

    column: str
    distance: float
    by_chance: float
    missing: tuple[float, float]


@dataclass(frozen=True)
class TableComparison:
    """Differences of two tables with the same columns.

    Args:
        rows: Number of rows of each table.
        columns: Distance of each column.
        correlation: Largest difference between the rank correlations of the two tables, and the two columns it belongs to;
            None for fewer than two columns of numbers.
        classifier: Score of a classifier that tells the rows of the two tables apart; None for too few rows.
        copies: Share of the rows of the second table that are also in the first table.
        nearest: Two median distances: from a row of the second table to the nearest row of the first table, and from a row of
            the first table to the nearest other row of the first table.
        unusable: Number of rows of the second table with an entry that the columns of the first table cannot hold.
    """

    rows: tuple[int, int]
    columns: tuple[ColumnDistance, ...]
    correlation: tuple[float, str, str] | None
    classifier: TwoSampleScore | None
    copies: float
    nearest: tuple[float, float]
    unusable: int


def compare_tables(schema: Schema, first: Array, second: Encoded, seed: int = 0) -> TableComparison:
    """Return the differences of two tables.

    Args:
        schema: Schema of the first table.
        first: Encoded rows of the first table (N, C).
        second: Encoded rows of the second table (M, C).
        seed: Seed of the classifier and of the choice of rows.
    """
    good = second.rows[~second.bad]
    columns = tuple(
        _column(column.name, first[:, i], good[:, i], numeric=column.numeric)
        for i, column in enumerate(schema.columns)
        if column.kind != "constant"
    )
    categorical = [i for i, column in enumerate(schema.columns) if column.kind == "categorical"]
    score = None
    if min(len(first), len(good)) >= FEWEST:
        score = two_sample_score(first, good, categorical=categorical, seed=seed)
    kept = set(map(bytes, np.ascontiguousarray(first)))
    copies = float(np.mean([bytes(row) in kept for row in np.ascontiguousarray(good)])) if len(good) else math.nan
    rng = np.random.default_rng(seed)
    a, b = (part[rng.permutation(len(part))[:MOST_ROWS]] for part in (first, good))
    return TableComparison(
        rows=(len(first), len(second.rows)),
        columns=columns,
        correlation=_correlation(schema, first, good),
        classifier=score,
        copies=copies,
        nearest=(_nearest(schema, b, a, own=False), _nearest(schema, a, a, own=True)),
        unusable=int(second.bad.sum()),
    )


def _column(name: str, first: Array, second: Array, *, numeric: bool) -> ColumnDistance:
    missing = (float(np.isnan(first).mean()), float(np.isnan(second).mean()) if len(second) else math.nan)
    a, b = first[~np.isnan(first)], second[~np.isnan(second)]
    if len(a) == 0 or len(b) == 0:
        return ColumnDistance(name, math.nan, math.nan, missing)
    values = np.unique(np.concatenate([a, b]))
    if numeric:
        below = [np.searchsorted(np.sort(part), values, side="right") / len(part) for part in (a, b)]
        distance = float(np.abs(below[0] - below[1]).max())
        # For one continuous distribution, the distance divided by sqrt(1 / n + 1 / m) has nearly Kolmogorov's distribution. The
        # mean of that distribution is sqrt(pi / 2) log 2 = 0.869.
        chance = math.sqrt(math.pi / 2) * math.log(2) * math.sqrt(1 / len(a) + 1 / len(b))
    else:
        shares = [np.array([(part == value).mean() for value in values]) for part in (a, b)]
        distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
        both = (shares[0] * len(a) + shares[1] * len(b)) / (len(a) + len(b))
        # The difference of two shares is nearly normal with variance v = p (1 - p) (1 / n + 1 / m). The mean of the absolute
        # value of such a number is sqrt(2 v / pi).
        chance = float(np.sqrt(both * (1 - both) * (1 / len(a) + 1 / len(b)) * 2 / math.pi).sum() / 2)
    return ColumnDistance(name, distance, chance, missing)


def _correlation(schema: Schema, first: Array, second: Array) -> tuple[float, str, str] | None:
    """Return the largest difference of rank correlations between the tables, and the names of its two columns."""
    at = [i for i, column in enumerate(schema.columns) if column.numeric]
    if len(at) < 2 or len(second) < 3:
        return None
    tables = []
    for part in (first, second):
        ranks = np.stack([_ranks(part[:, i]) for i in at], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            tables.append(np.nan_to_num(np.corrcoef(ranks.T)))
    difference = np.abs(tables[0] - tables[1])
    i, j = np.unravel_index(int(difference.argmax()), difference.shape)
    return float(difference[i, j]), schema.columns[at[i]].name, schema.columns[at[j]].name


def _ranks(values: Array) -> Array:
    """Return the ranks of values (N,): equal values share their mean rank, and missing values have the middle one."""
    from scipy.stats import rankdata

    missing = np.isnan(values)
    ranks = np.full(len(values), np.nan)
    ranks[~missing] = rankdata(values[~missing])
    return np.where(missing, np.nanmean(ranks) if (~missing).any() else 0.0, ranks)


def _nearest(schema: Schema, rows: Array, others: Array, *, own: bool) -> float:
    """Return the median distance from a row to the nearest of `others`.

    The distance of two rows is Gower's: the mean over the columns of |difference| / range for numbers, and of 0 (equal) or 1
    (different) for labels. A missing entry has distance 0 from a missing entry, and 1 from any other.

    Args:
        schema: Columns of the rows.
        rows: Encoded rows (N, C).
        others: Encoded rows (M, C) to search.
        own: Whether both are the same rows, so that the distance of a row to itself is left out.

    References:
        Gower 1971, A general coefficient of similarity and some of its properties, Biometrics 27, 857-871.
    """
    if len(rows) == 0 or len(others) < 2:
        return math.nan
    numeric = np.array([column.numeric for column in schema.columns])
    low, high = np.nanmin(others, axis=0), np.nanmax(others, axis=0)
    width = np.where(numeric & (high > low), high - low, 1.0)
    found = []
    for start in range(0, len(rows), BLOCK):
        total = np.zeros((len(rows[start : start + BLOCK]), len(others)))
        for i in range(rows.shape[1]):
            a, b = rows[start : start + BLOCK, i][:, None], others[:, i][None]
            gaps = np.isnan(a) | np.isnan(b)
            difference = np.abs(a - b) / width[i] if numeric[i] else (a != b).astype(float)
            total += np.where(gaps, np.isnan(a) != np.isnan(b), np.minimum(difference, 1.0))
        if own:
            total[np.arange(len(total)), start + np.arange(len(total))] = math.inf
        found.append(total.min(1))
    return float(np.median(np.concatenate(found)) / rows.shape[1])
