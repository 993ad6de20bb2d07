"""Layer that maps the angles and latitudes of a table to circles and heights, and the space of the flow behind it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core import Space, Transform, product_of
from ..functional.turning import TURN
from ..systems.mixed import AXES
from .row_space import Column, TableSpace


class CurveColumns(Transform):
    """Map of angles to radians in [0, 2 pi), and of latitudes to their sines, heights in [-1, 1]. Other columns are unchanged.

    Args:
        columns: Continuous columns.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.x_space = TableSpace(columns)
        self.z_space = TableSpace([_curved(column) for column in columns])
        self.angles = [i for i, column in enumerate(columns) if column.axis == "angle"]
        self.heights = [i for i, column in enumerate(columns) if column.axis == "height"]
        self.limits = [(*column.support, column.edge) for column in columns]

    def _constants(self, at: list[int], x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the index of some columns, and the start, the width and the edge of each."""
        low, high, edge = constant_rows([self.limits[i] for i in at], x)
        return torch.tensor(at, device=x.device), low, high - low, edge

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return radians and heights, and the sum of the log-slopes."""
        z, log_slopes = x, torch.zeros_like(x)
        if self.angles:
            at, low, width, _ = self._constants(self.angles, x)
            turns = (x[:, at] - low) / width
            z = z.index_copy(1, at, TURN * torch.remainder(turns, 1.0))
            log_slopes = log_slopes.index_copy(1, at, (TURN / width).log() + 0 * turns)
        if self.heights:
            at, low, width, edge = self._constants(self.heights, x)
            latitude = math.pi * (_off_poles(x[:, at], low, width, edge) - low) / width - math.pi / 2
            z = z.index_copy(1, at, latitude.sin())
            log_slopes = log_slopes.index_copy(1, at, latitude.cos().log() + (math.pi / width).log())
        return z, log_slopes.nansum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return angles and latitudes in the units of the columns, and minus the sum of the log-slopes."""
        x, log_slopes = z, torch.zeros_like(z)
        if self.angles:
            at, low, width, _ = self._constants(self.angles, z)
            x = x.index_copy(1, at, low + width * (z[:, at] / TURN))
            log_slopes = log_slopes.index_copy(1, at, (TURN / width).log() + 0 * z[:, at])
        if self.heights:
            at, low, width, edge = self._constants(self.heights, z)
            image = _off_poles(low + width * (z[:, at].asin() / math.pi + 0.5), low, width, edge)
            x = x.index_copy(1, at, image)
            latitude = math.pi * (image - low) / width - math.pi / 2
            log_slopes = log_slopes.index_copy(1, at, latitude.cos().log() + (math.pi / width).log())
        return x, -log_slopes.nansum(1)


def space_of_axes(columns: Sequence[Column]) -> Space:
    """Return the space of the flow of numeric columns: the line, circles and heights, in the order of the columns."""
    return product_of([AXES[column.axis] for column in columns])


def constant_rows(constants: Sequence[Sequence[float]], x: Tensor) -> tuple[Tensor, ...]:
    """Return constants of columns, one sequence for each, as tensors (C,) with the dtype and device of x."""
    return torch.tensor(constants, dtype=x.dtype, device=x.device).unbind(1)


def _curved(column: Column) -> Column:
    """Return a column after `CurveColumns`."""
    if column.axis == "number":
        return column
    low, high = (0.0, TURN) if column.axis == "angle" else (-1.0, 1.0)
    return dataclasses.replace(column, low=low, high=high, edge=0.0, loc=0.0, scale=1.0)


def _off_poles(x: Tensor, low: Tensor, width: Tensor, edge: Tensor) -> Tensor:
    """Return latitudes with those at a pole moved inside by `edge`: there the slope is zero, and its logarithm infinite."""
    return torch.where(x <= low, low + edge, torch.where(x >= low + width, low + width - edge, x))
