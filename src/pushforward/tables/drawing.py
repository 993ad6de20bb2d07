"""Rows drawn from a model of a table, within the ranges of the table that it was fitted to."""

from __future__ import annotations

import numpy as np
import torch

from .table_model import TableModel

CHUNK = 8192
"""Rows drawn together; a constant, because the draws depend on it."""
ROUNDS = 20
"""How often rows outside of the ranges are drawn anew before they are moved to the nearest end."""


def draw_rows(model: TableModel, rows: int, chunk: int = CHUNK, *, extrapolate: bool = False) -> np.ndarray:
    """Return rows drawn from a model: (rows, C) float64.

    A row with a value outside of the range that its column had in the table is drawn anew: a flow puts some mass beyond the
    ends, where values can be impossible, such as negative prices. So the draws follow the model given that all values are in
    range.

    Args:
        model: The model, in evaluation mode.
        rows: Number of rows.
        chunk: Number of rows that are drawn together.
        extrapolate: Whether values outside of the ranges are kept.
    """
    kept: list[np.ndarray] = []
    lacking, rounds = rows, 0
    while lacking > 0:
        drawn = torch.cat([model.sample(min(chunk, lacking - first)).cpu() for first in range(0, lacking, chunk)])
        found = drawn.double().numpy()
        if not extrapolate:
            inside = model.schema.inside(found)
            rounds += 1
            found = found[inside] if rounds <= ROUNDS else _moved_inside(model, found)
        kept.append(found)
        lacking -= len(found)
    return np.concatenate(kept)


def _moved_inside(model: TableModel, rows: np.ndarray) -> np.ndarray:
    rows = rows.copy()
    for i, column in enumerate(model.schema.columns):
        if column.numeric and column.seen is not None:
            rows[:, i] = np.clip(rows[:, i], *column.seen)
    return rows
