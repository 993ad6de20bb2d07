"""Draws from a model of a table under conditions on its columns: exact given any columns for any-order models, exact given all
observed columns for inverse models, by rejection otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import DataError, brief
from .any_order_table import AnyOrderTable
from .conditions import Conditions, check_conditions, keeping
from .drawing import CHUNK, draw_rows
from .observed_table import ObservedTable
from .schema import Schema
from .table_model import TableModel

Array = np.ndarray[Any, np.dtype[Any]]
MOST_ROUNDS = 100
"""Largest number of rounds of draws in the search for rows that meet conditions."""


@dataclass(frozen=True)
class ConditionalRows:
    """Encoded rows that meet conditions.

    Args:
        rows: The rows, (n, C).
        acceptance: Share of all draws that meet the conditions; with exact conditionals the share among draws that have the
            given values.
        exact: Whether the columns that are given exactly were conditioned on, and not found by rejection.
        warnings: Sentences about conditions outside of the range of the training table.
    """

    rows: Array
    acceptance: float
    exact: bool
    warnings: tuple[str, ...] = ()


def conditional_rows(
    model: TableModel,
    given: Mapping[str, Any],
    n: int,
    *,
    rounds: int = MOST_ROUNDS,
    extrapolate: bool = False,
) -> ConditionalRows:
    """Return at most n rows that meet conditions.

    Args:
        model: Model, in evaluation mode.
        given: Condition of each column, by name, see `check_conditions`.
        n: Largest number of rows; there are fewer if the conditions are rare.
        rounds: Largest number of rounds of `CHUNK` draws each.
        extrapolate: Whether values outside the ranges of the training table are kept.

    Raises:
        DataError: A condition is wrong, or no draw meets the conditions.
    """
    conditions = check_conditions(model.schema, given)
    observed = isinstance(model, ObservedTable) and model.observed <= set(conditions.fixed)
    exact = isinstance(model, AnyOrderTable) or observed
    kept: list[Array] = []
    found = drawn = met = 0
    for _ in range(rounds):
        if isinstance(model, AnyOrderTable):
            # Without ranges and sets of labels all draws meet the conditions, and no more than n are needed.
            wanted = CHUNK if conditions.others else min(CHUNK, n - found)
            rows, accepted = _exact_round(model, conditions, wanted, extrapolate=extrapolate)
            total = wanted
        elif isinstance(model, ObservedTable) and observed:
            candidates = model.given(conditions.fixed, CHUNK)
            keep = keeping(model.schema.decode(candidates), _of_drawn(model, conditions))
            rows, accepted, total = candidates[keep], int(keep.sum()), CHUNK
            rows = rows if extrapolate else rows[model.schema.inside(_without_given(rows, conditions))]
        else:
            candidates = draw_rows(model, CHUNK, extrapolate=extrapolate)
            keep = keeping(model.schema.decode(candidates), conditions.given)
            rows, accepted, total = candidates[keep], int(keep.sum()), len(candidates)
        kept.append(rows)
        found, drawn = found + len(rows), drawn + total
        met += accepted
        if found >= n:
            break
    if found == 0:
        raise DataError(
            f"expected conditions that some of {drawn:,} draws meet, got {brief(dict(given))}; give wider ranges"
        )
    return ConditionalRows(np.concatenate(kept)[:n], met / drawn, exact, conditions.warnings)


def _exact_round(model: AnyOrderTable, conditions: Conditions, count: int, *, extrapolate: bool) -> tuple[Array, int]:
    """Return the rows of one round that meet the conditions, and the number of draws that met them.

    The columns that are given exactly stand first in the order, then the columns with other conditions, then the rest. Draws of
    the second group are rejected before the rest is drawn, which gives the same distribution as rejecting whole rows.
    """
    schema, rows = model.schema, model.rows
    x = model.coding.blank(count, torch.empty(0, device=model.device))
    for i, value in conditions.fixed.items():
        x[:, i] = value
    given = model.mask(_columns(schema, conditions.fixed)).expand(count, -1)
    named = [schema.names.index(name) for name in conditions.others if name in schema.names]
    early = len(named) == len(conditions.others)
    accepted = count
    if conditions.others and early:
        first = model.mask(_columns(schema, named))
        x = rows.complete(x, given, only=first.expand(count, -1))
        x = x[torch.from_numpy(keeping(schema.decode(x), conditions.others)).to(x.device)]
        accepted = len(x)
        given = (given[:1] | first).expand(accepted, -1)
    x = rows.complete(x, given)
    found = x.cpu().numpy()
    if conditions.others and not early:
        found = found[keeping(schema.decode(found), conditions.others)]
        accepted = len(found)
    if not extrapolate:
        # A given value, or a whole range, outside of the training table is not a reason to reject a row.
        found = found[schema.inside(_without_given(found, conditions))]
    return found, accepted


def _without_given(rows: Array, conditions: Conditions) -> Array:
    """Return a copy of rows without the columns that are given exactly or outside of the training table."""
    judged = rows.copy()
    judged[:, [*conditions.fixed, *conditions.beyond]] = np.nan
    return judged


def _of_drawn(model: ObservedTable, conditions: Conditions) -> Mapping[str, Any]:
    """Return the conditions on other columns than the observed ones."""
    names = {model.schema.columns[i].name for i in model.observed}
    return {name: wanted for name, wanted in conditions.given.items() if name not in names}


def _columns(schema: Schema, wanted: Any) -> Array:
    return np.isin(np.arange(len(schema.columns)), list(wanted))
