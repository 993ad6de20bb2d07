"""Sampling of rows from a model of a table, within the ranges of the table that the model was fitted to."""

from __future__ import annotations

import numpy as np
import torch

from .table_model import TableModel

CHUNK = 8192
"""Number of rows that are drawn in one call; it is fixed, because the draws depend on it."""
ROUNDS = 20
"""Number of times that rows outside the ranges are drawn again, before they are moved to the nearest end of the range."""


def draw_rows(model: TableModel, rows: int, chunk: int = CHUNK, *, extrapolate: bool = False) -> np.ndarray:
    """Return rows that are drawn from a model, (rows, C) float64.

    A row with a value outside the range of its column in the table is drawn again. A flow gives some probability to values
    beyond the range, and such values can be impossible, for example negative prices. The draws therefore follow the
    distribution of the model under the condition that all values are in range.

    Args:
        model: Model, in evaluation mode.
        rows: Number of rows.
        chunk: Number of rows that are drawn in one call.
        extrapolate: Whether values outside the ranges are kept.
    """
    kept: list[np.ndarray] = []
    lacking, rounds = rows, 0
    while lacking > 0:
        drawn = torch.cat([model.sample(min(chunk, lacking - first)).cpu() for first in range(0, lacking, chunk)])
        found = drawn.double().numpy()
        if not extrapolate:
            inside = model.schema.inside(found)
            rounds += 1
            # Rejection gives exact draws of the restricted model. If hardly any row is inside, moving the rest ends the loop.
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
