"""The grain of a column of numbers: single values that come often, decimals, grids and levels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_SPIKES = 3
SPIKE_ROWS = 10
"""Fewest rows with the value of a spike."""
CONTINUOUS_SHARE, INTEGER_SHARE = 0.05, 0.1
"""Smallest share of a spike among continuous numbers, and among whole ones."""
GAP = 4.0
"""A spike comes more often than every ordinary value by this factor."""
MOST_DECIMALS = 8
MOST_LEVELS = 200
LEVEL_ROWS = 4
"""Rows for each level, on average, of a column of few values."""


class Grain(NamedTuple):
    """How the numbers of a column are rounded.

    Args:
        decimals: Number of decimals; None for numbers that are not rounded.
        grid: Distance between neighbouring values, from the smallest on, where it is not a power of ten; 0 for none.
        levels: The different values, where there are few; empty for others.
    """

    decimals: int | None = None
    grid: float = 0.0
    levels: tuple[float, ...] = ()


def find_spikes(present: np.ndarray, *, whole: bool) -> tuple[float, ...]:
    """Return the values that come so often that a density cannot hold them: at most three, each far more often than the others.

    Args:
        present: (N,) finite numbers.
        whole: Whether they are whole numbers, whose values repeat anyway.
    """
    values, counts = np.unique(present, return_counts=True)
    if len(values) < (20 if whole else 10):
        return ()
    order = np.argsort(-counts, kind="stable")
    fewest = max(SPIKE_ROWS, (INTEGER_SHARE if whole else CONTINUOUS_SHARE) * len(present))
    for many in range(MOST_SPIKES, 0, -1):
        smallest, ordinary = counts[order[many - 1]], counts[order[many]]
        if smallest >= fewest and smallest > GAP * ordinary and counts[order[many:]].sum() >= SPIKE_ROWS:
            return tuple(sorted(values[order[:many]].tolist()))
    return ()


def find_grain(present: np.ndarray, *, whole: bool, spikes: tuple[float, ...] = ()) -> Grain:
    """Return how the numbers of a column are rounded.

    Args:
        present: (N,) finite numbers, spikes included.
        whole: Whether they are whole numbers.
        spikes: The spikes of the column; a column with spikes has no levels.
    """
    values = np.unique(present)
    if whole:
        return Grain(grid=_distance(values, 0))
    decimals = next((d for d in range(MOST_DECIMALS + 1) if (np.round(values, d) == values).all()), None)
    levels: tuple[float, ...] = ()
    if not spikes and len(values) <= MOST_LEVELS and len(present) >= LEVEL_ROWS * len(values):
        levels = tuple(values.tolist())
    grid = 0.0 if decimals is None or levels else _distance(values, decimals)
    return Grain(decimals, grid, levels)


def _distance(values: np.ndarray, decimals: int) -> float:
    """The greatest distance of which all differences are multiples; 0 where it is one unit of the last decimal."""
    units = np.rint((values - values[0]) * 10.0**decimals)
    if len(values) < 5 or units[-1] > 2**53:
        return 0.0
    divisor = int(np.gcd.reduce(units.astype(np.int64)))
    return divisor / 10.0**decimals if divisor > 1 else 0.0
