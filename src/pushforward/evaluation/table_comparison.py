"""Two tables beside each other: drift of data, or fidelity and privacy of synthetic rows."""

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
"""Rows of each table from which they are compared by a classifier."""
MOST_ROWS = 5000
"""Rows of each table whose nearest rows are looked for."""
BLOCK = 500


@dataclass(frozen=True)
class ColumnDistance:
    """Distance of the two distributions of a column.

    Args:
        column: Name of the column.
        distance: Largest difference of the two distribution functions, or half the sum of the differences of shares, in [0, 1].
        by_chance: Mean of that distance for two samples of one distribution of these sizes.
        missing: Shares of missing values in both tables.
    """

    column: str
    distance: float
    by_chance: float
    missing: tuple[float, float]


@dataclass(frozen=True)
class TableComparison:
    """How two tables of the same columns differ.

    Args:
        rows: Numbers of rows.
        columns: Distance of each column.
        correlation: Largest difference of two rank correlations, and its columns; None for fewer than two columns of numbers.
        classifier: Score of a classifier that tells the rows apart; None for too few rows.
        copies: Share of the rows of the second table that are in the first one, too.
        nearest: Median distances of rows of the second table to the nearest row of the first, and of rows of the first table to
            the nearest other row of the first.
        unusable: Number of rows of the second table with an entry that has no place in the first one's columns.
    """

    rows: tuple[int, int]
    columns: tuple[ColumnDistance, ...]
    correlation: tuple[float, str, str] | None
    classifier: TwoSampleScore | None
    copies: float
    nearest: tuple[float, float]
    unusable: int


def compare_tables(schema: Schema, first: Array, second: Encoded, seed: int = 0) -> TableComparison:
    """Compare two tables.

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
        chance = math.sqrt(math.pi / 2) * math.log(2) * math.sqrt(1 / len(a) + 1 / len(b))
    else:
        shares = [np.array([(part == value).mean() for value in values]) for part in (a, b)]
        distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
        both = (shares[0] * len(a) + shares[1] * len(b)) / (len(a) + len(b))
        # Mean of |difference| of two shares, which are nearly normal.
        chance = float(np.sqrt(both * (1 - both) * (1 / len(a) + 1 / len(b)) * 2 / math.pi).sum() / 2)
    return ColumnDistance(name, distance, chance, missing)


def _correlation(schema: Schema, first: Array, second: Array) -> tuple[float, str, str] | None:
    """The pair of columns of numbers whose rank correlations differ most."""
    at = [i for i, column in enumerate(schema.columns) if column.numeric]
    if len(at) < 2 or len(second) < 3:
        return None
    tables = []
    for part in (first, second):
        ranks = np.argsort(np.argsort(np.nan_to_num(part[:, at]), axis=0), axis=0).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            tables.append(np.nan_to_num(np.corrcoef(ranks.T)))
    difference = np.abs(tables[0] - tables[1])
    i, j = np.unravel_index(int(difference.argmax()), difference.shape)
    return float(difference[i, j]), schema.columns[at[i]].name, schema.columns[at[j]].name


def _nearest(schema: Schema, rows: Array, others: Array, *, own: bool) -> float:
    """Median distance to the nearest row: the mean over columns of |difference| / range, or 0 and 1 for labels (Gower)."""
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
