"""Search for exact equations between columns of numbers: sums such as total = a + b, products such as price = amount * unit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .beside import Equation
from .row_space import Column

MOST_COLUMNS = 200
"""Largest number of columns for which equations are searched."""
MOST_FOR_PRODUCTS = 25
"""Largest number of columns for which products are searched."""
CHECKED = 2000
"""Number of rows in which an equation is searched; then it must hold in all rows."""
LARGEST_NUMBER = 1e100
"""Size of a number above which the squares in a regression can overflow."""
EXACT = 1e-9
"""Largest difference, relative to the size of the column, that is taken for rounding in float64."""
FEWEST = 20
"""Smallest number of rows beyond the number of columns in an equation, so that it does not hold by accident."""
NICE = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 24, 60, 100, 1000])
"""Denominators of the fractions that are tried as factors."""


def find_identities(columns: Mapping[str, Column], numbers: Mapping[str, np.ndarray]) -> dict[str, Equation]:
    """Return the columns that follow exactly from other columns, with their equations.

    A column of a sum follows from columns before it in the table. A column that is used in an equation never follows from
    another equation itself, so all computed columns can be computed from the modelled ones.

    Args:
        columns: Columns of numbers, by name.
        numbers: Values (N,) of each column, float64 with NaN for missing values, by name.
    """
    names = [
        name
        for name in columns
        if np.isfinite(numbers[name]).any() and np.nanmax(np.abs(numbers[name])) < LARGEST_NUMBER
    ]
    if len(names) < 2 or len(names) > MOST_COLUMNS:
        return {}
    data = np.stack([numbers[name] for name in names], axis=1)
    complete = np.isfinite(data).all(1)
    if complete.sum() < FEWEST + len(names):
        return {}
    rows = data[complete]
    found = _sums(names, rows, columns)
    if len(names) <= MOST_FOR_PRODUCTS:
        found = _products(names, rows, columns, found)
    return {name: identity for name, identity in found.items() if _holds(name, identity, names, data, columns[name])}


def _sums(names: list[str], rows: np.ndarray, columns: Mapping[str, Column]) -> dict[str, Equation]:
    """Return the linear equations, found by regression of each column on the independent columns before it."""
    # A regression on some rows is enough to find an equation. It is checked on all rows below.
    part = rows[:: max(1, len(rows) // CHECKED)]
    scale = part.std(0)
    independent: list[int] = []
    found: dict[str, Equation] = {}
    for j in np.flatnonzero(scale > 0).tolist():
        if independent and len(part) >= FEWEST + len(independent):
            rounding = _rounding(columns[names[j]], scale[j])
            found_here = _sum(j, independent, part, scale, max(2 * rounding, 1e-7 * scale[j]))
            if found_here:
                used = [(names[i], factor) for i, factor in found_here.items()]
                rest = rows[:, j] - sum(factor * rows[:, i] for i, factor in found_here.items())
                # The median is not moved by the rounding of single rows, as the mean would be.
                constant = _nice_constant(float(np.median(rest)), max(rounding, 1e-9 * scale[j]))
                off = float(np.abs(rest - constant).max())
                if off <= _allowed(rows[:, j], columns[names[j]]):
                    found[names[j]] = Equation(factors=tuple(used), constant=constant, tolerance=off)
                    continue
        # Only columns that no other columns give enter later equations. So an equation never depends on a computed column.
        independent.append(int(j))
    return found


def _sum(j: int, independent: list[int], rows: np.ndarray, scale: np.ndarray, allowed: float) -> dict[int, float]:
    """Return the factors of the columns whose sum is column j, by their indices; empty if there is no such sum.

    The regression gives every column a factor. Columns whose term is smaller than the rounding error are left out, and the
    others are fitted again.
    """
    # Centred columns need no constant in the regression. Scaled ones keep the least squares well conditioned.
    centred = rows - rows.mean(0)
    used = independent
    for _ in range(2):
        factors = np.linalg.lstsq(centred[:, used] / scale[used], centred[:, j], rcond=1e-10)[0]
        if np.abs(centred[:, used] / scale[used] @ factors - centred[:, j]).max() > allowed:
            return {}
        # The factors are in units of one standard deviation of each column, so they are the sizes of the terms.
        kept = np.abs(factors) > allowed
        if kept.all():
            break
        used, factors = [i for i, keep in zip(used, kept, strict=True) if keep], factors[kept]
        if not used:
            return {}
    nice = _nice(factors / scale[used])
    return {i: float(factor) for i, factor in zip(used, nice, strict=True) if factor}


def _products(
    names: list[str], rows: np.ndarray, columns: Mapping[str, Column], found: dict[str, Equation]
) -> dict[str, Equation]:
    """Return `found` with the equations that are products of two columns, such as amount * price."""
    # Most pairs fail on the first rows, so all pairs of up to 25 columns can be tried.
    head = rows[:50]
    taken = {name for identity in found.values() for name, _ in identity.factors}
    free = [i for i, name in enumerate(names) if name not in found]
    for j in free:
        if names[j] in taken or np.ptp(head[:, j]) == 0:
            continue
        for a_at, a in enumerate(free):
            for b in free[a_at + 1 :]:
                if j in (a, b) or names[a] in found or names[b] in found or names[j] in found:
                    continue
                product = head[:, a] * head[:, b]
                size = product @ product
                if size == 0 or np.ptp(head[:, a]) == 0 or np.ptp(head[:, b]) == 0:
                    continue
                factor = float(_nice(np.array([product @ head[:, j] / size]))[0])
                # The factor is the least-squares slope through the origin, <ab, c> / <ab, ab>.
                if factor == 0 or np.abs(factor * product - head[:, j]).max() > _allowed(head[:, j], columns[names[j]]):
                    continue
                identity = Equation(factors=((names[a], factor), (names[b], factor)), product=True)
                off = float(np.abs(factor * rows[:, a] * rows[:, b] - rows[:, j]).max())
                if off <= _allowed(rows[:, j], columns[names[j]]):
                    found[names[j]] = Equation(factors=identity.factors, product=True, tolerance=off)
                    taken |= {names[a], names[b]}
    return found


def _rounding(column: Column, scale: float) -> float:
    """Return the largest difference that the rounding of a column to its decimals explains.

    It is 0 if one unit of the last decimal is not small compared with the spread of the column: then almost any equation would
    hold within the rounding.
    """
    if column.decimals is None and column.kind != "integer":
        return 0.0
    unit = 10.0 ** -(column.decimals or 0)
    return 0.5001 * unit if scale > 20 * unit else 0.0


def _allowed(values: np.ndarray, column: Column) -> float:
    return max(_rounding(column, float(values.std())), EXACT * float(np.abs(values).max()))


def _nice(factors: np.ndarray) -> np.ndarray:
    """Return factors rounded to the nearest fraction with a small denominator, if it is near; tiny factors become 0."""
    factors = np.where(np.abs(factors) < 1e-7 * max(1.0, float(np.abs(factors).max())), 0.0, factors)
    for i, factor in enumerate(factors):
        # Rates such as 0.19 or 1/12 are found from their rounded estimates, within a relative error of 2e-4.
        for denominator in NICE:
            near = np.rint(factor * denominator) / denominator
            if near and abs(factor - near) <= 2e-4 * abs(near):
                factors[i] = near
                break
        else:
            factors[i] = float(f"{factor:.12g}")
    return factors


def _nice_constant(constant: float, rounding: float) -> float:
    """Return the constant with the fewest decimals that differs from the given one by at most the rounding."""
    return next((near for d in range(12) if abs((near := round(constant, d)) - constant) <= rounding), constant)


def _holds(name: str, identity: Equation, names: list[str], data: np.ndarray, column: Column) -> bool:
    """Return whether an equation holds in all rows, and its column is missing only where one of the other columns is."""
    values = dict(zip(names, data.T, strict=True))
    given, wanted = values[name], identity.values(values)
    both = np.isfinite(given) & np.isfinite(wanted)
    if (np.isfinite(wanted) & ~np.isfinite(given)).any():
        return False
    return bool((np.abs(given - wanted)[both] <= 1.01 * identity.tolerance + EXACT * np.abs(wanted[both])).all())
