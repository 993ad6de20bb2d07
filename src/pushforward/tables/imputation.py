"""Imputation of gaps in rows by an any-order model: draws given the entries that are there, or means and likeliest labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..distributions.orderless import Parts
from ..errors import DataError
from .any_order_table import AnyOrderTable
from .drawing import ROUNDS
from .row_space import Column
from .table import Table

Array = np.ndarray[Any, np.dtype[Any]]
CHUNK = 4096
"""Number of rows that are imputed together."""
NODES = 16
"""Number of nodes of the quadrature over each Gaussian of a mixture."""


@torch.no_grad()
def drawn_gaps(model: AnyOrderTable, rows: Array) -> Array:
    """Return rows (N, C) whose gaps are drawn from the model, given the other entries of the row.

    A drawn value is never missing, and stays within the range of its column in the training table.
    """
    result = rows.copy()
    for first in range(0, len(rows), CHUNK):
        piece = rows[first : first + CHUNK]
        result[first : first + CHUNK] = _drawn_piece(model, piece)
    return result


def _drawn_piece(model: AnyOrderTable, rows: Array) -> Array:
    gaps, result = np.isnan(rows), _with_constants(model, rows)
    open_rows = np.flatnonzero(gaps.any(1))
    for attempt in range(ROUNDS + 1):
        if len(open_rows) == 0:
            break
        part = torch.as_tensor(result[open_rows], device=model.device)
        given = ~model.mask(gaps[open_rows])
        found = model.rows.complete(part, given, present=True).cpu().numpy()
        result[open_rows] = found
        judged = np.where(gaps[open_rows], found, np.nan)
        open_rows = open_rows[~model.schema.inside(judged)]
        if attempt == ROUNDS and len(open_rows):
            for i, column in enumerate(model.schema.columns):
                moved = gaps[open_rows, i]
                result[open_rows[moved], i] = _within(column, result[open_rows[moved], i])
    return result


@torch.no_grad()
def point_gaps(model: AnyOrderTable, rows: Array) -> Array:
    """Return rows (N, C) with the mean of each missing number, and the likeliest label, given the entries that are there."""
    gaps, result = np.isnan(rows), _with_constants(model, rows)
    places = model.coding.places
    for first in range(0, len(rows), CHUNK):
        part = slice(first, first + CHUNK)
        x = torch.as_tensor(rows[part], device=model.device)
        observed = ~model.mask(gaps[part])
        for entry, i in enumerate(places):
            at = np.flatnonzero(gaps[part][:, i])
            if len(at) == 0:
                continue
            logp, parts = model.rows.conditional(x[at], observed[at], entry, present=True)
            column = model.schema.columns[i]
            result[first + at, i] = _point(model, entry, column, logp, parts).cpu().numpy()
    return result


def _point(model: AnyOrderTable, entry: int, column: Column, logp: Tensor | None, parts: Parts | None) -> Tensor:
    """Return the mean of a number, or the likeliest label, (K,), from its distribution."""
    if parts is None or not column.numeric:
        assert logp is not None  # noqa: S101
        likeliest = logp.argmax(-1)
        return model.coding.values(entry, likeliest, torch.zeros_like(likeliest, dtype=torch.float64))
    log_weights, means, log_scales = parts
    points, masses = np.polynomial.hermite_e.hermegauss(NODES)
    nodes, weights = (torch.as_tensor(t, device=means.device) for t in (points, masses / masses.sum()))
    # The mean of x = u(z) over a mixture in z: a sum over Gaussians, and over the nodes of a quadrature for each of them.
    z = means.unsqueeze(-1) + log_scales.exp().unsqueeze(-1) * nodes
    x = model.coding.raw(entry, z.reshape(-1)).reshape(z.shape)
    if column.seen is not None:
        x = x.clamp(*column.seen)
    mean = ((x * weights).sum(-1) * log_weights.exp()).sum(-1)
    if logp is None:
        return mean
    # With spikes s_k the mean is P(ordinary) E[ordinary] + sum_k P(k) s_k.
    singles = torch.tensor([0.0, *column.spikes], dtype=mean.dtype, device=mean.device)
    chances = logp[:, : len(singles)].exp().to(mean.dtype)
    return chances[:, 0] * mean + chances @ singles


def imputed_table(model: AnyOrderTable, table: Table, draws: int = 1, *, point: bool = False) -> Table:
    """Return a table whose missing values in the columns of a model are filled in; the other entries do not change.

    Args:
        model: Model, in evaluation mode.
        table: Rows with missing values; columns of the model that are absent are added.
        draws: Number of draws of each row; with more than one, a first column `draw` counts them from 1.
        point: Whether the mean of each number and the likeliest label replace draws.

    Raises:
        DataError: An entry is no value of its column, or the arguments contradict each other.
    """
    if draws < 1 or (point and draws > 1):
        raise DataError(f"expected at least one draw, and one only for points, which have no spread, got {draws}")
    rows = model.schema.encode_gaps(table)
    tables = []
    for _ in range(draws):
        filled = point_gaps(model, rows) if point else drawn_gaps(model, rows)
        tables.append(_merged(table, model.schema.decode(filled)))
    if draws == 1:
        return tables[0]
    name = "draw" if "draw" not in tables[0].names else "number of the draw"
    counts = np.repeat(np.arange(1, draws + 1), table.n_rows)
    stacked = [np.concatenate([part[column] for part in tables]) for column in tables[0].names]
    return Table((name, *tables[0].names), (counts, *stacked), tables[0].zones)


def _merged(table: Table, filled: Table) -> Table:
    """Return a table with the entries of another one where its own are missing, and with the columns that it does not have."""
    columns: dict[str, Array] = {}
    for name, own in zip(table.names, table.columns, strict=True):
        missing = _missing(own)
        if name not in filled.names or not missing.any():
            columns[name] = own
            continue
        new = filled[name]
        if missing.all():
            columns[name] = new
            continue
        # Whole numbers and truth values with gaps are stored as objects, or as numbers with NaN; without gaps they get the
        # type of the column.
        if (own.dtype.kind == "f" and new.dtype.kind == "f") or own.dtype == new.dtype:
            columns[name] = np.where(missing, new, own)
        else:
            merged = own.astype(object)
            merged[missing] = new.astype(object)[missing]
            columns[name] = merged.astype(new.dtype) if new.dtype.kind in "biu" else merged
    for name in filled.names:
        columns.setdefault(name, filled[name])
    order = [*table.names, *(name for name in filled.names if name not in table.names)]
    return Table(tuple(order), tuple(columns[name] for name in order), {**filled.zones, **table.zones})


def _missing(values: Array) -> Array:
    if values.dtype.kind in "mM":
        return np.isnat(values)
    return np.array([value is None or value != value for value in values.tolist()], dtype=bool)


def _with_constants(model: AnyOrderTable, rows: Array) -> Array:
    """Return a copy of rows in which missing values of constant columns have the value of the column."""
    result = rows.copy()
    for i, column in enumerate(model.schema.columns):
        if column.kind == "constant":
            result[np.isnan(rows[:, i]), i] = column.value
    return result


def _within(column: Column, values: Array) -> Array:
    return np.clip(values, *column.seen) if column.numeric and column.seen is not None else values
