"""Columns of angles and of positions on the Earth: their kinds as a person writes them, and their descriptions.

An angle has a period: 360 degrees, 24 hours, or any other number. Its values are wrapped into one period. A position is a pair
of columns, the latitude and the longitude in degrees. The sine of the latitude is a height between the poles, in which the area
of the sphere is uniform (Archimedes).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import DataError, brief
from .coding import Findings
from .grain import find_grain, find_spikes
from .row_space import Column

DAY = 86_400_000_000
"""Length of a day, in microseconds."""
PERIODS = {"degrees": 360.0, "radians": 2 * math.pi}
"""Periods that have a name."""
CURVED = ("angle", "latitude", "longitude")
"""Kinds of columns on circles and spheres, after `paired` has replaced positions by their two columns."""


def paired(kinds: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return kinds by column, where each position "lat,lon" is replaced by the kinds of its latitude and its longitude.

    Args:
        kinds: Kinds, by the name of a column or by two names with a comma between them.
        names: Names of the columns of the table.

    Raises:
        DataError: A position does not name two columns of the table, or other kinds name a pair.
    """
    found: dict[str, str] = {}
    for name, kind in kinds.items():
        parts = [part.strip() for part in name.split(",")]
        if kind != "position":
            if name not in names and len(parts) == 2 and set(parts) <= set(names):
                raise DataError(f"expected position as the kind of the pair {brief(name)}, got {brief(kind)}")
            found[name] = kind
            continue
        if len(parts) != 2 or parts[0] == parts[1]:
            raise DataError(
                "expected two columns for a position, latitude and longitude, such as --kind lat,lon=position, got "
                f"{brief(name)}"
            )
        for part in parts:
            if part not in names:
                raise DataError(
                    f"expected the two columns of the position {brief(name)} in the table, got none called {brief(part)}"
                )
        found[parts[0]], found[parts[1]] = f"latitude:{parts[1]}", f"longitude:{parts[0]}"
    for name, kind in found.items():
        word, _, other = kind.partition(":")
        opposite = {"latitude": "longitude", "longitude": "latitude"}.get(word)
        if opposite is not None and found.get(other) != f"{opposite}:{name}":
            raise DataError(
                f"expected the {opposite} that belongs to the {word} {brief(name)}, got none; declare both columns, such as "
                "--kind lat,lon=position"
            )
    return found


def is_curved(kind: str) -> bool:
    """Return whether a declared kind is an angle, a latitude or a longitude."""
    return kind.partition(":")[0] in CURVED


def curved_column(name: str, numbers: np.ndarray, declared: str, *, day: float = 0.0) -> Column:
    """Return the description of an angle, a latitude or a longitude, without loc and scale.

    Args:
        name: Name of the column.
        numbers: Values (N,), NaN where one is missing.
        declared: Kind as declared, such as "angle:24" or "latitude:lon".
        day: Length of a day in the units of the column, for times of day; 0 for other columns.

    Raises:
        DataError: The period is not a number above 0, or a latitude lies beyond 90 degrees.
    """
    word, _, rest = declared.partition(":")
    present = numbers[~np.isnan(numbers)]
    if word == "latitude":
        require_latitudes(name, numbers, Findings(len(numbers)))
        return _column(name, numbers, -90.0, 180.0, whole=False, axis="height", partner=rest)
    if word == "longitude":
        low = -180.0 if float(present.min()) < 0 or float(present.max()) <= 180 else 0.0
        return _column(name, numbers, low, 360.0, whole=False, axis="angle", partner=rest)
    period = day or _period(name, rest, present)
    whole = float(period).is_integer() and bool((present == np.rint(present)).all())
    return _column(name, numbers, _start(present, period), period, whole=whole, axis="angle")


def wrapped(column: Column, numbers: np.ndarray) -> np.ndarray:
    """Return numbers moved by whole periods into the period of an angle; other columns are unchanged."""
    if column.axis != "angle" or column.low is None:
        return numbers
    turned = column.low + np.mod(numbers - column.low, column.period)
    # For a tiny negative difference the remainder rounds to the whole period.
    turned = np.where(turned >= column.low + column.period, column.low, turned)
    inside = (numbers >= column.low) & (numbers < column.low + column.period)
    return np.where(inside | np.isnan(numbers), numbers, turned)


def require_latitudes(name: str, numbers: np.ndarray, findings: Findings) -> None:
    """Add latitudes beyond 90 degrees to findings.

    Raises:
        DataError: The findings are strict, and there is such a latitude.
    """
    with np.errstate(invalid="ignore"):
        beyond = np.abs(numbers) > 90
    why = "and a latitude is at most 90 degrees; are latitude and longitude exchanged?"
    findings.add(name, beyond, "holds a latitude beyond 90 degrees", why, values=numbers)


def _period(name: str, text: str, present: np.ndarray) -> float:
    if not text:
        # Numbers up to a full turn of 2 pi, with fractions, are radians.
        small = float(np.abs(present).max()) <= 2 * math.pi + 1e-3 and bool((present != np.rint(present)).any())
        return PERIODS["radians" if small else "degrees"]
    try:
        period = PERIODS[text] if text in PERIODS else float(text)
    except ValueError:
        period = math.nan
    if not (0 < period < 2.0**53):
        raise DataError(
            f"expected the period of the angle {brief(name)} as a number above 0, degrees or radians, such as angle:24, got "
            f"{brief(text)}"
        )
    return period


def _start(present: np.ndarray, period: float) -> float:
    """Return the start of the period in which the values lie: 0, 1 for whole numbers from 1 on, or minus half a period."""
    smallest, largest = float(present.min()), float(present.max())
    # Months run from 1 to 12, and days of the year from 1 to 366.
    if smallest == 1 and math.floor(period) <= largest < 1 + period and bool((present == np.rint(present)).all()):
        return 1.0
    return -period / 2 if smallest < 0 and smallest >= -period / 2 and largest <= period / 2 else 0.0


def _column(
    name: str, numbers: np.ndarray, low: float, width: float, *, whole: bool, axis: str, partner: str = ""
) -> Column:
    high = low + width - 1 if whole else low + width
    kind = "integer" if whole else "continuous"
    column = Column(name=name, kind=kind, low=low, high=high, seen=(low, high), axis=axis, partner=partner)  # type: ignore[arg-type]
    present = numbers[~np.isnan(numbers)]
    inside = wrapped(column, present)
    distances = np.concatenate([inside - low, low + width - inside])
    spikes = find_spikes(inside, whole=whole)
    return dataclasses.replace(
        column,
        storage="int64" if bool((present == np.rint(present)).all()) else "float64",
        missing=len(present) < len(numbers),
        edge=0.5 if whole else float(distances[distances > 0].min()) / 2,
        spikes=spikes,
        decimals=find_grain(inside, whole=whole, spikes=spikes).decimals,
    )
