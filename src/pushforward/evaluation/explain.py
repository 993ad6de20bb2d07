"""Explanation of unlikely rows: for each entry, the probability of an entry as unlikely, given the rest of the row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ..tables import AnyOrderTable, Schema, TableModel
from ..tables.describe import shown_number
from ..tables.row_space import Column
from .scores import log_likelihoods

Array = np.ndarray[Any, np.dtype[Any]]
POINTS = 101
"""Number of points of the quadrature over the values of a column of numbers."""
WIDTH = 6.0
"""Number of standard deviations on either side of the mean that the quadrature covers."""
MOST_LABELS = 60
"""Largest number of labels of a column that are tried, besides the label of the row."""
UNUSUAL = 0.05
"""Probability up to which an entry is called unusual."""
NAMED = 3
"""Largest number of columns that are named for a row."""


def entry_probabilities(model: TableModel, rows: Array, seed: int = 0) -> Array:
    """Return for each entry the probability to draw an entry that is at most as likely, given all other entries of the row.

    For entry i of row x this is P(p(v, x_rest) <= p(x)), where v follows the conditional density p(v | x_rest). That density is
    proportional to the joint density p(v, x_rest), so the probability is a ratio of two sums over v:

        sum of w p(v, x_rest) over the v with p(v, x_rest) <= p(x)   /   sum of w p(v, x_rest) over all v,

    with weights w: 1 for labels, spikes and the missing value, the width of a cell for other numbers (a midpoint rule). A small
    probability means that the entry does not fit the others. A model with the conditionals of each column, an `AnyOrderTable`,
    gives p(v | x_rest) itself, from one pass of its network.

    Args:
        model: Model of the table.
        rows: Encoded rows (N, C).
        seed: Seed of the noise, for models whose log-likelihood is random.

    Returns:
        Probabilities (N, C); 1 for constant columns.
    """
    result = np.ones(rows.shape)
    joint = None if isinstance(model, AnyOrderTable) else log_likelihoods(model, rows, seed=seed).numpy()
    for i, column in enumerate(model.schema.columns):
        if column.kind == "constant":
            continue
        base = _log_prob(model, rows, i, seed) if joint is None else joint
        for n, row in enumerate(rows):
            if math.isnan(row[i]) and not column.missing:
                continue
            values, log_weights = _values(column, row[i])
            varied = np.repeat(row[None], len(values), axis=0)
            varied[:, i] = values
            log_prob = _log_prob(model, varied, i, seed)
            log_mass = np.where(np.isfinite(log_prob), log_prob + log_weights, -math.inf)
            total = np.logaddexp.reduce(log_mass)
            if math.isfinite(total):
                # The value of the row is one of the values, and values as likely as it count. The tolerance keeps rounding
                # from excluding them.
                unlikely = log_prob <= base[n] + 1e-6 * (1 + abs(base[n]))
                result[n, i] = (
                    min(1.0, float(np.exp(np.logaddexp.reduce(log_mass[unlikely]) - total))) if unlikely.any() else 0.0
                )
    return result


def _log_prob(model: TableModel, rows: Array, i: int, seed: int) -> Array:
    """Return log p(v, x_rest) of rows up to a constant that is the same for all values v of column i."""
    if isinstance(model, AnyOrderTable):
        return model.entry_log_prob(rows, i)
    return log_likelihoods(model, rows, seed=seed).numpy()


def _values(column: Column, own: float) -> tuple[Array, Array]:
    """Return the values of a column to compare an entry with, and the logarithms of their weights.

    A column of numbers has a mixed measure: single values with a probability of their own (spikes, and missing, written NaN)
    beside a density over all other numbers. A single value has weight 1; a point of the quadrature has the width of its cell.
    """
    if column.kind == "categorical":
        codes = np.arange(len(column.categories), dtype=np.float64)
        if len(codes) > MOST_LABELS:
            codes = np.unique(np.append(codes[:: len(codes) // MOST_LABELS + 1], np.nan_to_num(own)))
        values = np.append(codes, math.nan) if column.missing else codes
        return values, np.zeros(len(values))
    values, widths = _grid(column)
    extra = [*column.spikes, *([math.nan] if column.missing else [])]
    values, log_weights = np.append(values, extra), np.append(np.log(widths), np.zeros(len(extra)))
    if math.isfinite(own) and own not in column.spikes:
        # The entry itself gets weight zero, log -inf. It must be scored with the others, but it adds nothing to the sums.
        values, log_weights = np.append(values, own), np.append(log_weights, -math.inf)
    return values, log_weights


def _grid(column: Column) -> tuple[Array, Array]:
    """Return the points of a quadrature over the values of a column that are not spikes, and the widths of their cells."""
    low, high = column.support
    seen = column.seen or (low, high)
    if column.kind == "integer":
        step = max(1.0, math.ceil((seen[1] - seen[0] + 1) / POINTS))
        values = np.unique(np.clip(np.round(seen[0] + step * np.arange(POINTS)), low, high))
        return values, np.full(len(values), step)
    # Numbers without bounds follow a density on the whole line, so the grid reaches past the range of the training rows.
    if column.low is None and column.high is None:
        edges = column.loc + column.scale * np.linspace(-WIDTH, WIDTH, POINTS + 1)
    else:
        edges = np.linspace(seen[0], seen[1], POINTS + 1)
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges)


def explained(model: TableModel, rows: Array, seed: int = 0) -> list[str]:
    """Return for each row the entries that do not fit the others, the most unusual first, as text.

    Args:
        model: Model of the table.
        rows: Encoded rows (N, C).
        seed: Seed of the noise, for models whose log-likelihood is random.
    """
    if len(rows) == 0:
        return []
    with torch.no_grad():
        chances = entry_probabilities(model, rows, seed)
    return reasons(model.schema, rows, chances)


def reasons(schema: Schema, rows: Array, chances: Array) -> list[str]:
    """Return for each row its unusual entries, the most unusual first, as text.

    Args:
        schema: Schema of the table.
        rows: Encoded rows (N, C).
        chances: Probabilities of the entries (N, C), from `entry_probabilities`.
    """
    texts = []
    for row, chance in zip(rows, chances, strict=True):
        order = [i for i in np.argsort(chance, kind="stable") if chance[i] <= UNUSUAL][:NAMED]
        parts = [f"{_entry(schema.columns[i], row[i])} (p {_probability(chance[i])})" for i in order]
        texts.append(", ".join(parts) or "no single entry stands out: the combination is rare")
    return texts


def _probability(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"= {value:.2g}"


def _entry(column: Column, value: float) -> str:
    if math.isnan(value):
        return f"{column.name} missing"
    if column.categories:
        return f"{column.name} = {column.categories[int(value)]}"
    return f"{column.name} = {shown_number(column, value)}"


def outside(schema: Schema, row: Array) -> str:
    """Return a text that names the entries of a row which lie outside the ranges of their columns.

    Args:
        schema: Columns of the table.
        row: Encoded row (C,) of probability zero.
    """
    found = []
    for column, value in zip(schema.columns, row, strict=True):
        low, high = column.support
        if math.isnan(value):
            continue
        if low <= value <= high:
            if column.kind == "integer" and value != round(value):
                found.append(f"{_entry(column, value)} is between the whole numbers of the column")
            continue
        if column.kind == "constant":
            found.append(f"{_entry(column, value)}, where it was always {shown_number(column, column.value)}")
        else:
            found.append(
                f"{_entry(column, value)} is outside {shown_number(column, low)} to {shown_number(column, high)}"
            )
    return "; ".join(found) or "too far from all training rows for a density that is above zero in floating point"
