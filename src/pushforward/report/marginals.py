"""Columns of the report: comparison of data and samples, by column and by pair of columns, and the least likely rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.baselines import labels_as_text
from . import plots
from .plots import Picture
from .words import cell, fixed, number

Array = np.ndarray[Any, np.dtype[Any]]

PAIR_COLUMNS = 6
LABEL_COLUMNS = 8
LABELS = 10
LEAST_LIKELY = 20
_NUMERIC = {"continuous", "integer"}


@dataclass(frozen=True)
class Pairs:
    """Pair plot of the chosen numeric columns.

    Args:
        picture: The plot.
        chosen: Number of columns in the plot.
        total: Number of numeric columns that vary.
        outside: Number of samples outside the frames of the plot.
        rows: Number of rows of the data.
        samples: Number of samples.
    """

    picture: Picture
    chosen: int
    total: int
    outside: int
    rows: int
    samples: int


def pairs(kinds: Mapping[str, str], data: Mapping[str, Array], samples: Mapping[str, Array]) -> Pairs | None:
    """Return the pair plot of up to six numeric columns that vary; None if no column varies.

    If there are more than six, those that depend most on each other are chosen.
    """
    found = []
    for name in numeric_columns(kinds, data, samples):
        values = [np.asarray(table[name]).astype(np.float64) for table in (data, samples)]
        if any(np.isfinite(v).any() and np.nanmin(v) < np.nanmax(v) for v in values):
            found.append(plots.PairColumn(name, values[0], values[1], integer=kinds[name] == "integer"))
    if not found:
        return None
    chosen = _most_dependent(found, PAIR_COLUMNS)
    picture, outside = plots.pair_plot(chosen)
    return Pairs(picture, len(chosen), len(found), outside, len(found[0].data), len(found[0].samples))


@dataclass(frozen=True)
class LeastLikely:
    """Least likely held-out rows.

    Args:
        picture: Histogram of the log-likelihoods; None without finite ones.
        header: Name and smallest width (in em) of each column.
        table: Rows; each cell is a text and whether the value is unusual.
    """

    picture: Picture | None
    header: list[tuple[str, float]]
    table: list[dict[str, Any]]


def least_likely(
    kinds: Mapping[str, str],
    data: Mapping[str, Array],
    log_prob: Array,
    rows: Array | None,
    shown: Mapping[str, Sequence[str]] | None = None,
) -> LeastLikely:
    """Return the rows with the smallest log-likelihoods, the smallest first.

    A value is marked as unusual if it lies outside the middle 98 % of its column, or is a label of fewer than 2 % of the rows.
    """
    worst = np.argsort(log_prob, kind="stable")[:LEAST_LIKELY]
    numeric = set(numeric_columns(kinds, data, data))
    texts: dict[str, list[str]] = {}
    marks: dict[str, Array] = {}
    for name in kinds:
        if name in numeric:
            values = np.asarray(data[name]).astype(np.float64)
            known = values[np.isfinite(values)]
            low, high = np.quantile(known, [0.01, 0.99]) if len(known) else (0.0, 0.0)
            marks[name] = (values[worst] < low) | (values[worst] > high)
            texts[name] = [cell(value) for value in np.asarray(data[name])[worst]]
            if shown and name in shown:
                texts[name] = [shown[name][row] for row in worst]
        else:
            values = labels_as_text(data[name])
            marks[name] = np.array([(values == value).mean() < 0.02 for value in values[worst]])
            texts[name] = [_label(value, data[name], 40) for value in values[worst]]
    table = [
        {
            "row": str(at if rows is None else rows[at]),
            "nats": number(float(log_prob[at]), 2),
            "cells": [(texts[name][i], bool(marks[name][i])) for name in kinds],
        }
        for i, at in enumerate(worst)
    ]
    # The width fits the longest word of the name, so that only very long words are broken.
    widths = [1.8 + 0.72 * min(max(map(len, name.split() or [""])), 16) for name in kinds]
    header = list(zip(kinds, widths, strict=True))
    return LeastLikely(plots.log_prob_plot(log_prob, log_prob[worst]), header, table)


def column_table(
    kinds: Mapping[str, str], data: Mapping[str, Array], samples: Mapping[str, Array]
) -> list[dict[str, str]]:
    """Return for every column the values in data and in samples, the missing values, and the distance of the distributions."""
    numeric = set(numeric_columns(kinds, data, samples))
    table = []
    for name, kind in kinds.items():
        if name in numeric:
            pair = [np.asarray(part[name]).astype(np.float64) for part in (data, samples)]
            known = [values[np.isfinite(values)] for values in pair]
            missing = [1 - len(k) / len(values) for k, values in zip(known, pair, strict=True)]
            texts = [_spread(k) for k in known]
            distance = _kolmogorov(*known)
        else:
            texts_of = [labels_as_text(part[name]) for part in (data, samples)]
            missing = [float((values == "").mean()) for values in texts_of]
            texts = [_commonest(values, data[name]) for values in texts_of]
            names, shares = _shares(*texts_of)
            distance = float(np.abs(shares[0] - shares[1]).sum() / 2) if len(names) else math.nan
        row = {"name": name, "kind": kind, "data": texts[0], "samples": texts[1], "distance": number(distance, 2)}
        row["missing"] = "" if max(missing) == 0 else f"{missing[0]:.0%} / {missing[1]:.0%}"
        table.append(row)
    return table


def chance_distance(kinds: Mapping[str, str], data: Mapping[str, Array], samples: Mapping[str, Array]) -> float:
    """Return the mean Kolmogorov-Smirnov distance of two samples of one distribution, sqrt(pi / 2) ln 2 sqrt(1/N + 1/M)."""
    name = next(iter(kinds))
    return math.sqrt(math.pi / 2) * math.log(2) * math.sqrt(1 / len(data[name]) + 1 / len(samples[name]))


def labels(kinds: Mapping[str, str], data: Mapping[str, Array], samples: Mapping[str, Array]) -> dict[str, Any] | None:
    """Return a plot of the label frequencies of the first columns of labels that vary; rare labels are counted together.

    The result is None if no column of labels varies.
    """
    numeric = set(numeric_columns(kinds, data, samples))
    found = []
    for name in kinds:
        if name in numeric:
            continue
        texts = [labels_as_text(part[name]) for part in (data, samples)]
        names, shares = _shares(*texts)
        if len(names) < 2:
            continue
        order = np.lexsort((np.arange(len(names)), -shares[1], -shares[0]))
        kept, rest = order[:LABELS], order[LABELS:]
        shown = [_label(names[i], data[name], 40) for i in kept]
        parts = [share[kept] for share in shares]
        if len(rest):
            shown.append(f"{len(rest):,} other labels")
            parts = [np.append(part, share[rest].sum()) for part, share in zip(parts, shares, strict=True)]
        found.append(plots.LabelColumn(name, shown, parts[0], parts[1], len(texts[0])))
    if not found:
        return None
    shown_columns = found[:LABEL_COLUMNS]
    return {"picture": plots.label_plot(shown_columns), "shown": len(shown_columns), "total": len(found)}


def numeric_columns(kinds: Mapping[str, str], data: Mapping[str, Array], samples: Mapping[str, Array]) -> list[str]:
    """Return the names of the columns of numbers: continuous and integer columns, and constant columns that hold numbers."""

    def holds_numbers(name: str) -> bool:
        return all(np.asarray(part[name]).dtype.kind in "iuf" for part in (data, samples))

    return [name for name, kind in kinds.items() if kind in _NUMERIC or (kind == "constant" and holds_numbers(name))]


def _most_dependent(columns: list[plots.PairColumn], limit: int) -> list[plots.PairColumn]:
    """Return the columns that depend most on each other, at most `limit`, in their old order.

    The pair with the strongest rank correlation comes first. Then the column with the strongest rank correlation to one of the
    chosen columns is added, again and again. Near copies of a chosen column (rank correlation above 0.95) are chosen last,
    because they would show the same picture again; the subtraction of 1 ranks them below all others.
    """
    if len(columns) <= limit:
        return columns
    strength = np.zeros((len(columns), len(columns)))
    for i, first in enumerate(columns):
        for j in range(i):
            r = plots.spearman(first.data[:5000], columns[j].data[:5000])
            strength[i, j] = strength[j, i] = 0.0 if math.isnan(r) else abs(r)
    ranked = np.where(strength > 0.95, strength - 1, strength)
    np.fill_diagonal(ranked, -1)
    inside = [int(i) for i in np.unravel_index(int(np.argmax(ranked)), ranked.shape)]
    while len(inside) < limit:
        reach = strength[inside].max(0)
        reach = np.where(reach > 0.95, reach - 1, reach)
        reach[inside] = -1
        inside.append(int(np.argmax(reach)))
    return [columns[i] for i in sorted(inside)]


def _spread(values: Array) -> str:
    if len(values) == 0:
        return "–"
    mean, sd = float(values.mean()), float(values.std())
    if sd == 0:
        return f"always {cell(values[0])}"
    if not 1e-4 <= sd < 1e6 or abs(mean) >= 1e9:
        return f"{mean:.4g} ± {sd:.2g}".replace("-", "−")
    digits = max(0, 1 - math.floor(math.log10(sd)))
    return f"{fixed(mean, digits)} ± {fixed(sd, digits)}"


def _label(text: str, column: Array, length: int) -> str:
    """Return a label as a short text; labels that are numbers get few digits."""
    if text == "":
        return "(missing)"
    return cell(float(text)) if np.asarray(column).dtype.kind in "iuf" else plots.shorten(text, length)


def _commonest(values: Array, column: Array) -> str:
    names, counts = np.unique(values, return_counts=True)
    top = int(np.argmax(counts))
    name = _label(str(names[top]), column, 24)
    return f"always {name}" if len(names) == 1 else f"{name} {counts[top] / len(values):.0%}, {len(names):,} labels"


def _shares(first: Array, second: Array) -> tuple[list[str], list[Array]]:
    """Return all labels of both columns, and their frequencies in each."""
    names, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(names)) for part in (codes[: len(first)], codes[len(first) :])]
    return [str(name) for name in names], [count / max(count.sum(), 1) for count in counts]


def _kolmogorov(first: Array, second: Array) -> float:
    """Return the largest distance of two empirical distribution functions."""
    if len(first) == 0 or len(second) == 0:
        return math.nan
    grid = np.concatenate([first, second])
    below = [np.searchsorted(np.sort(part), grid, side="right") / len(part) for part in (first, second)]
    return float(np.abs(below[0] - below[1]).max())
