"""The batches of an epoch: slices of rows that are put into the epoch's order many batches at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor

from .config import batches_in
from .data import Rows

BLOCK_NUMBERS = 2**20
"""Numbers gathered at once, at most, but never less than a batch: 4 MB of float32, which stay in the processor's cache."""


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of an epoch.

    Args:
        number: in the epoch, from 1.
        index: numbers of its rows.
        rows: (x,) or (x, context), a view of a block.
    """

    number: int
    index: Tensor
    rows: tuple[Tensor, ...]

    def __len__(self) -> int:
        return self.index.shape[0]


def batches(rows: Rows, order: Tensor, size: int, done: int = 0) -> Iterator[Batch]:
    """Every batch of an epoch after the first `done` ones; the last may be smaller, or larger by one row.

    Args:
        rows: where they lie.
        order: numbers of the epoch's rows, in its order.
        size: rows in a batch.
        done: batches to leave out.
    """
    count = batches_in(len(order), size)
    numbers = sum(t[0].numel() for t in (rows.x, rows.context) if t is not None)
    per_block = max(1, BLOCK_NUMBERS // max(1, size * numbers))
    # Blocks begin at the same batches whatever was done before, as matrix products may depend on where in memory a batch lies.
    for first in range(done - done % per_block, count, per_block):
        last = min(first + per_block, count)
        index = order[first * size : len(order) if last == count else last * size]
        block = rows.take(index)
        for number in range(max(first, done), last):
            start = (number - first) * size
            end = len(index) if number + 1 == count else start + size
            yield Batch(number + 1, index[start:end], tuple(t[start:end] for t in block))
