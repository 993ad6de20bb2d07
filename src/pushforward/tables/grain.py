"""Grain of a column of numbers: frequent single values (spikes), decimals, grids and levels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST_SPIKES = 3
SPIKE_ROWS = 10
"""Smallest number of rows with the value of a spike."""
CONTINUOUS_SHARE, INTEGER_SHARE = 0.05, 0.1
"""Smallest share of the rows with the value of a spike, among continuous numbers and among whole numbers."""
GAP = 4.0
"""Smallest ratio of the number of rows of a spike to that of every ordinary value."""
MOST_DECIMALS = 8
MOST_LEVELS = 200
LEVEL_ROWS = 4
"""Smallest mean number of rows for each level, in a column of few different values."""


class Grain(NamedTuple):
    """Rounding of the numbers of a column.

    Args:
        decimals: Number of decimals; None for numbers that are not rounded.
        grid: Distance between neighbouring values, counted from the smallest value, if it is not one unit of the last decimal;
            0 for no grid.
        levels: The different values, if they are few; empty for other columns.
    """

    decimals: int | None = None
    grid: float = 0.0
    levels: tuple[float, ...] = ()


def find_spikes(present: np.ndarray, *, whole: bool) -> tuple[float, ...]:
    """Return the spikes of a column: at most three values, each of which is far more frequent than the ordinary values.

    A density cannot model a value that has a probability of its own: the likelihood of such a value grows without limit as the
    density becomes narrower there. A table model therefore gives each spike a probability, and the density only has the
    ordinary numbers.

    Args:
        present: Finite numbers (N,).
        whole: Whether they are whole numbers, whose values repeat in any case.
    """
    values, counts = np.unique(present, return_counts=True)
    if len(values) < (20 if whole else 10):
        return ()
    order = np.argsort(-counts, kind="stable")
    fewest = max(SPIKE_ROWS, (INTEGER_SHARE if whole else CONTINUOUS_SHARE) * len(present))
    # The largest possible set of spikes is taken: the rarest spike must be frequent enough, both in itself and compared with
    # the most frequent ordinary value, and enough ordinary rows must be left.
    # Spikes are far more frequent than all other values, so there is a gap in the ordered counts after the last spike.
    for many in range(MOST_SPIKES, 0, -1):
        smallest, ordinary = counts[order[many - 1]], counts[order[many]]
        if smallest >= fewest and smallest > GAP * ordinary and counts[order[many:]].sum() >= SPIKE_ROWS:
            return tuple(sorted(values[order[:many]].tolist()))
    return ()


def find_grain(present: np.ndarray, *, whole: bool, spikes: tuple[float, ...] = ()) -> Grain:
    """Return the rounding of the numbers of a column.

    Args:
        present: Finite numbers (N,), with the spikes.
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
    """Return the largest distance of which all differences are multiples; 0 if it is one unit of the last decimal."""
    units = np.rint((values - values[0]) * 10.0**decimals)
    if len(values) < 5 or units[-1] > 2**53:
        return 0.0
    # Values in whole units of the last decimal lie on a coarser grid if all differences share a divisor.
    divisor = int(np.gcd.reduce(units.astype(np.int64)))
    return divisor / 10.0**decimals if divisor > 1 else 0.0
