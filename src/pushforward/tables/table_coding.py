"""Coding of the rows of a table for any-order models: discrete facts, unbounded coordinates, and cells of whole numbers.

The coordinate of a number is that of `column_layers`: bounds are removed by logarithms, and the result is standardised,

    z = (u(x) - loc) / scale,    log dz/dx = log u'(x) - log scale.

A whole number k stands for the cell [k, k + 1) of x - low, and its probability is the mass of a density of z between the images
of the ends. The first cell begins at minus infinity and the last one ends at infinity, so the probabilities sum to one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..distributions import Entries, RowCoding
from ..functional.hand_gradients import eager
from .column_layers import StandardiseColumns, Unbound, interval
from .facts import facts_of, value_of, without_spikes
from .row_space import Column, TableSpace


class TableCoding(RowCoding):
    """Coding of the rows of a table; a constant column without missing values is no entry.

    NaN is a missing value in a column that can have one. In other columns it is a gap: the entry is not asked for.

    Args:
        columns: Columns of the table.
    """

    space: TableSpace

    def __init__(self, columns: tuple[Column, ...]) -> None:
        super().__init__()
        self.columns, self.space = columns, TableSpace(columns, gaps=True)
        self.places = tuple(i for i, column in enumerate(columns) if column.numeric or column.classes > 1)
        own = [columns[i] for i in self.places]
        self.counts, self.numeric = tuple(c.classes for c in own), tuple(c.numeric for c in own)
        self.whole, self.missing = tuple(c.kind == "integer" for c in own), tuple(c.missing for c in own)
        self.fact_at = [i for i in self.places if columns[i].classes > 1]
        self.number_at = [i for i in self.places if columns[i].numeric]
        self.fact_columns = [columns[i] for i in self.fact_at]
        self.number_columns = [columns[i] for i in self.number_at]
        # In a list of lists these layers are no parts of the module: they have no state.
        self._maps = [_maps([column]) for column in self.number_columns]
        self._all = [_maps(self.number_columns)] if self.number_at else []

    def asked(self, x: Tensor) -> Tensor | None:
        """Return a mask (B, D) of the entries without gaps; None if all entries are given."""
        gaps = x[:, torch.tensor(self.places, device=x.device)].isnan() & ~torch.tensor(self.missing, device=x.device)
        # The shortcut for rows without gaps depends on the data, which a traced program cannot.
        return ~gaps if not eager(x) or bool(gaps.any()) else None

    def split(self, x: Tensor, dtype: torch.dtype) -> Entries:
        """Return the facts and the coordinates of rows, float64 (B, C)."""
        facts = x.new_zeros(x.shape[0], 0, dtype=torch.long)
        if self.fact_at:
            facts = facts_of(self.fact_columns, x[:, torch.tensor(self.fact_at, device=x.device)])
        asked = self.asked(x)
        if not self._all:
            none = x.new_zeros(x.shape[0], 0)
            return Entries(
                facts, none.to(dtype), none, none.bool(), none.to(dtype), none.to(dtype), none.to(dtype), asked
            )
        given = x[:, torch.tensor(self.number_at, device=x.device)]
        whole = torch.tensor([column.kind == "integer" for column in self.number_columns], device=x.device)
        # A spike of a column of whole numbers is a whole number, too, but a spike of the others has no density.
        ordinary = torch.where(whole, given, without_spikes(self.number_columns, given))
        low = torch.tensor([column.support[0] for column in self.number_columns], dtype=x.dtype, device=x.device)
        low = torch.where(whole, low, 0.0)
        z, log_slopes = self._images(ordinary - low + 0.5 * whole)
        slopes = torch.where(whole, 0.0, log_slopes.nan_to_num())
        valued = ordinary.isfinite()
        lower, upper = self._cells(given - low, whole)
        width = (upper - lower).to(dtype)
        return Entries(facts, z.nan_to_num().to(dtype), slopes, valued, lower.to(dtype), upper.to(dtype), width, asked)

    def _images(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates and log-slopes, each (B, N), of numbers that are counted from the lower end of their range."""
        unbound, standard = self._all[0]
        z, log_slopes = unbound.images(y)
        loc, scale = torch.tensor(standard.constants, dtype=y.dtype, device=y.device).unbind(1)
        return (z - loc) / scale, log_slopes - scale.log()

    def _cells(self, k: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images of k and k + 1 for the whole numbers k = x - low, (B, N) each; 0 for other numbers."""
        last = torch.tensor([c.support[1] - c.support[0] for c in self.number_columns], dtype=k.dtype, device=k.device)
        usable = whole & k.isfinite()
        k = torch.where(usable, k, 0.0)
        lower, upper = self._images(torch.where(whole, k, 1.0))[0], self._images(k + 1)[0]
        lower, upper = torch.where(k <= 0, -math.inf, lower), torch.where(k >= last, math.inf, upper)
        return torch.where(usable, lower, 0.0), torch.where(usable, upper, 0.0)

    def blank(self, n: int, like: Tensor) -> Tensor:
        """Return rows of the first labels, of zeros, and of the values of constant columns."""
        values = [column.value if column.kind == "constant" else 0.0 for column in self.columns]
        return torch.tensor(values, dtype=torch.float64, device=like.device).repeat(n, 1)

    def values(self, entry: int, fact: Tensor, number: Tensor) -> Tensor:
        """Return the values of an entry in the units of its column, float64 (B,)."""
        column = self.columns[self.places[entry]]
        value = self.raw(entry, number) if column.numeric else None
        return value_of(column, fact if column.classes > 1 else None, value, number)

    def raw(self, entry: int, number: Tensor) -> Tensor:
        """Return the ordinary numbers (B,) of an entry, in the units of its column, that have the given coordinates."""
        column = self.columns[self.places[entry]]
        unbound, standard = self._maps[self.number_at.index(self.places[entry])]
        z = standard.inverse(number.double().unsqueeze(1))[0]
        x = unbound.inverse(z)[0][:, 0]
        if column.kind != "integer":
            return x
        low, high = column.support
        return x.floor().clamp(0, high - low) + low


def _maps(columns: list[Column]) -> tuple[Unbound, StandardiseColumns]:
    intervals = [interval(column) for column in columns]
    unbound = Unbound(intervals)
    return unbound, StandardiseColumns(unbound.z_space.columns)  # type: ignore[attr-defined]
