"""Descriptions of the columns of a table, and the space of its rows.

A row is a vector of float64: numbers are unchanged, labels are codes 0 ... K - 1, and NaN marks a missing value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core import Box, Real, Space
from ..core.discrete_space import MOST_STATES
from ..errors import SpecError
from .hints import ANY, Hint

Kind = Literal["continuous", "integer", "categorical", "constant"]
Axis = Literal["number", "angle", "height"]
Storage = Literal["float64", "int64", "bool", "str", "date", "datetime", "time"]
TIMES = ("date", "datetime", "time")
"""Storage types of dates, timestamps and times of day; in a row such a value is a whole number of steps."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Description of one column.

    A number in a row is the value itself. For a date or a timestamp it is the number of steps since 1970, and for a time of day
    the number of steps since midnight.

    Args:
        name: Name of the column.
        kind: "continuous", "integer", "categorical" or "constant".
        storage: Type of the values in the table: "float64", "int64", "bool", "str", "date", "datetime" or "time".
        missing: Whether a value can be missing.
        categories: Labels of a categorical column, or of a constant one that is not a number.
        value: Value of a constant number.
        low: Lower bound of a continuous column, smallest value of an integer one; None for no bound.
        high: Upper bound of a continuous column, largest value of an integer one; None for no bound.
        edge: Distance by which a value exactly on a bound is moved inside, in the units of the column.
        loc: Mean of the training rows on the unbounded coordinate.
        scale: Standard deviation of the training rows on the unbounded coordinate.
        spikes: Frequent single values; each has a probability of its own, and the density models only the other numbers.
        decimals: Number of decimals to which samples are rounded; None for no rounding.
        grid: Distance of the grid of values, starting at the smallest one, to which samples are moved; 0 for no grid.
        levels: Different values of a column with few values; samples are moved to the nearest one. Empty for other columns.
        seen: Smallest and largest value in the table; samples stay within them by default. None if unknown.
        step: Length of a step of a date or time, in microseconds; 0 for other columns.
        zone: Time zone in which timestamps are written; empty for none.
        axis: Shape of the axis of a column of numbers: "number" for a line, "angle" for a circle whose period starts at `low`,
            or "height" for the latitudes of a sphere.
        partner: Name of the other column of a position, for its latitude and its longitude; empty for other columns.
        hint: Facts about the entries of the file that are needed to read the next file with this column.
    """

    name: str
    kind: Kind
    storage: Storage = "float64"
    missing: bool = False
    categories: tuple[str, ...] = ()
    value: float = 0.0
    low: float | None = None
    high: float | None = None
    edge: float = 0.0
    loc: float = 0.0
    scale: float = 1.0
    spikes: tuple[float, ...] = ()
    decimals: int | None = None
    grid: float = 0.0
    levels: tuple[float, ...] = ()
    seen: tuple[float, float] | None = None
    step: float = 0.0
    zone: str = ""
    axis: Axis = "number"
    partner: str = ""
    hint: Hint = ANY

    @property
    def numeric(self) -> bool:
        """Whether the flow models the column, which is so for continuous and integer columns."""
        return self.kind in ("continuous", "integer")

    @property
    def period(self) -> float:
        """Length of a full turn of an angle."""
        low, high = self.support
        return high - low + 1 if self.kind == "integer" else high - low

    @property
    def shown_kind(self) -> str:
        """Kind in words; angles, positions, dates, timestamps and times of day have words of their own."""
        if self.axis != "number" and self.kind != "constant":
            return "position" if self.partner else "angle"
        times = {"date": "date", "datetime": "timestamp", "time": "time of day"}
        return times[self.storage] if self.storage in TIMES and self.kind != "constant" else self.kind

    @property
    def classes(self) -> int:
        """Number of possible values of the discrete fact of the column.

        Each row has a discrete fact for the column, a whole number from 0. In a categorical column it is the code of the label,
        and the last number means that the value is missing. In a column of numbers, 0 means an ordinary number, 1 ... S mean
        the S spikes, and the last number again means missing. A column without labels, spikes and missing values has one fact.
        """
        return (len(self.categories) if self.kind == "categorical" else 1 + len(self.spikes)) + self.missing

    @property
    def support(self) -> tuple[float, float]:
        """Smallest and largest value of the column in a row; infinite without a bound."""
        if self.kind == "categorical":
            return 0.0, float(len(self.categories) - 1)
        if self.kind == "constant":
            return self.value, self.value
        return (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)


@dataclass(frozen=True, init=False, repr=False)
class TableSpace(Space):
    """Space of the rows of a table, (C,) in float64 for every dtype of the model.

    NaN is a missing value in the columns that can have one.

    Args:
        columns: Columns of the table.
        gaps: Whether NaN is also allowed in the other columns, where it means that a model is not asked about the entry.
    """

    columns: tuple[Column, ...]
    gaps: bool = False

    def __init__(self, columns: Sequence[Column], *, gaps: bool = False) -> None:
        object.__setattr__(self, "columns", tuple(columns))
        object.__setattr__(self, "gaps", gaps)
        super().__init__((len(self.columns),))

    def __repr__(self) -> str:
        names = [repr(column.name) for column in self.columns[:6]] + ["..."] * (len(self.columns) > 6)
        return f"a table of {len(self.columns)} columns ({', '.join(names)})"

    @property
    def allows_missing(self) -> bool:
        """Whether NaN is allowed in any column."""
        return self.gaps or any(column.missing for column in self.columns)

    @property
    def discrete(self) -> bool:
        """Whether no column is continuous."""
        return all(column.kind != "continuous" for column in self.columns)

    @property
    def bounded(self) -> bool:
        """Whether some rows lie outside: False only if every column is continuous, without bounds and never missing."""
        return self.allows_missing or any(
            column.kind != "continuous" or column.support != (-math.inf, math.inf) for column in self.columns
        )

    def event_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """Return float64, for every dtype of the model."""
        return torch.float64

    def finite(self, x: Tensor) -> Tensor:
        """Return which entries are finite, or NaN in a column that can have missing values."""
        if x.shape[-1:] != self.shape:
            return x.isfinite()
        return x.isfinite() | (x.isnan() & self._may_be_nan(x))

    def difference(self, x: Tensor, y: Tensor) -> Tensor:
        """Return x - y; for angles the shorter way around."""
        apart = x - y
        turns = [c.period if c.axis == "angle" else math.inf for c in self.columns]
        period = torch.tensor(turns, dtype=x.dtype, device=x.device)
        return torch.where(period.isfinite(), torch.remainder(apart + period / 2, period) - period / 2, apart)

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows have every number in its range and only known labels."""
        low, high = self._limits(x)
        present = x.isfinite() & (x >= low) & (x <= high) & (~self._whole(x) | (x == x.round()))
        return (present | (x.isnan() & self._may_be_nan(x))).all(1)

    def nearest(self, x: Tensor) -> Tensor:
        """Return the rows with numbers moved to the nearest value in range.

        An infinity or a NaN that is not allowed becomes a bound of the column, or the mean `loc` without bounds.
        """
        low, high = self._limits(x)
        middle = torch.where(low == -math.inf, torch.where(high == math.inf, self._values("loc", x), high), low)
        moved = torch.where(self._whole(x), x.round(), x).clamp(low, high)
        usable = moved.isfinite() | (x.isnan() & self._may_be_nan(x))
        return torch.where(usable, moved, middle)

    def random(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return n rows of independent columns; `dtype` is ignored.

        A fifth of the values is missing and about a third is a spike, in columns that can have missing values or spikes.
        """
        x = torch.stack([_random(column, n) for column in self.columns], 1)
        for i, column in enumerate(self.columns):
            if column.spikes:
                spikes = torch.tensor(column.spikes, dtype=x.dtype)[torch.randint(len(column.spikes), (n,))]
                x[:, i] = torch.where(torch.rand(n) < 0.3, spikes, x[:, i])
        return x.masked_fill((torch.rand(n, self.size) < 0.2) & self._flags("missing", x), math.nan)

    def quadrature(self, points: int = 400) -> tuple[Tensor, Tensor]:
        """Return a rule over all rows: every label, whole number, spike and missing value, and a grid of the other numbers.

        Raises:
            SpecError: The rule would have too many points, or a column of whole numbers has no bounds.
        """
        axes, weights = zip(*(_axis(column, points) for column in self.columns), strict=True)
        if math.prod(map(len, axes)) > MOST_STATES:
            raise SpecError(f"expected a space of at most {MOST_STATES:,} points to integrate over, got {self}")
        x = torch.cartesian_prod(*axes).reshape(-1, len(axes))
        return x, torch.cartesian_prod(*weights).reshape(-1, len(axes)).prod(1)

    def _limits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        limits = torch.tensor([c.support for c in self.columns], dtype=torch.float64, device=x.device)
        return limits[:, 0], limits[:, 1]

    def _may_be_nan(self, x: Tensor) -> Tensor:
        return self._flags("missing", x) | self.gaps

    def _flags(self, field: str, x: Tensor) -> Tensor:
        return torch.tensor([getattr(c, field) for c in self.columns], dtype=torch.bool, device=x.device)

    def _values(self, field: str, x: Tensor) -> Tensor:
        return torch.tensor([getattr(c, field) for c in self.columns], dtype=torch.float64, device=x.device)

    def _whole(self, x: Tensor) -> Tensor:
        return torch.tensor([c.kind in ("integer", "categorical") for c in self.columns], device=x.device)


def _axis(column: Column, points: int) -> tuple[Tensor, Tensor]:
    """Return values of a column and their weights: 1 for single values, the width of a cell for other numbers."""
    low, high = column.support
    if column.kind == "continuous":
        inside = Box((1,), low, high) if math.isfinite(low) or math.isfinite(high) else Real((1,))
        x, weight = inside.quadrature(points)
        if not inside.bounded:
            x, weight = column.loc + column.scale * x, column.scale * weight
        values, weights = x[:, 0], weight
        single = torch.tensor(column.spikes, dtype=torch.float64)
    else:
        values, weights = torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
        if not math.isfinite(high - low):
            raise SpecError(f"expected a space of whole numbers between bounds, got column {column.name!r} without")
        single = torch.arange(low, high + 1, dtype=torch.float64)
    if column.missing:
        single = torch.cat([single, torch.full((1,), math.nan, dtype=torch.float64)])
    return torch.cat([values, single]), torch.cat([weights, torch.ones_like(single)])


def _random(column: Column, n: int) -> Tensor:
    low, high = column.support
    if column.kind in ("integer", "categorical"):
        return (low + torch.rand(n, dtype=torch.float64) * (high - low + 1)).floor().clamp_max(high)
    if column.kind == "constant":
        return torch.full((n,), column.value, dtype=torch.float64)
    z = column.loc + column.scale * torch.randn(n, dtype=torch.float64)
    if column.low is not None and column.high is not None:
        return low + (high - low) * z.sigmoid()
    if column.low is not None:
        return low + z.exp()
    return z if column.high is None else high - (-z).exp()
