"""Discrete facts of the entries of a row: labels, spikes and missing values, see `Column.classes`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .row_space import Column


def facts_of(columns: Sequence[Column], given: Tensor) -> Tensor:
    """Return the discrete facts of the values of some columns, float64 (B, F) -> int64 (B, F)."""
    labelled = torch.tensor([column.kind == "categorical" for column in columns], device=given.device)
    absent = torch.tensor([column.classes - 1 for column in columns], device=given.device)
    # A label is its own fact. An ordinary number is fact 0, which the product with False gives.
    facts = (given.nan_to_num() * labelled).long()
    for i, column in enumerate(columns):
        # Spikes are the facts from 1 on. They are equal to the value exactly, as both come from the same table.
        for number, spike in enumerate(column.spikes, 1):
            facts[:, i] = torch.where(given[:, i] == spike, number, facts[:, i])
    return torch.where(given.isnan(), absent, facts)


def without_spikes(columns: Sequence[Column], numbers: Tensor) -> Tensor:
    """Return a copy of numbers (B, N) with NaN in place of the spikes of their columns."""
    numbers = numbers.clone()
    for k, column in enumerate(columns):
        for spike in column.spikes:
            numbers[:, k] = numbers[:, k].masked_fill(numbers[:, k] == spike, math.nan)
    return numbers


def value_of(column: Column, fact: Tensor | None, number: Tensor | None, like: Tensor) -> Tensor:
    """Return the values of a column in a row, float64 (B,).

    Args:
        column: The column.
        fact: Discrete facts (B,); None for a column with one fact.
        number: Ordinary numbers (B,) of a column of numbers, used where the fact is 0; None for other columns.
        like: Tensor (B, ...) on the device of the result.
    """
    value = torch.full((like.shape[0],), column.value, dtype=torch.float64, device=like.device)
    if number is not None:
        value = number.double()
    elif fact is not None and column.kind == "categorical":
        value = fact.double()
    if fact is None:
        return value
    for k, spike in enumerate(column.spikes, 1):
        value = value.masked_fill(fact == k, spike)
    return value.masked_fill(fact == column.classes - 1, math.nan) if column.missing else value
