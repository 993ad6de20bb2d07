"""Batches of an epoch: slices of rows in memory, which are put into the epoch's order many batches at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from .config import batches_in
from .data import Rows, chunks
from .parallel.processes import ProcessRanks
from .validation_split import RowSplit

BLOCK_NUMBERS = 2**20
"""Numbers gathered at once, at most, but never less than a batch: 4 MB of float32, which stay in the processor's cache."""
ROWS_NAMED = 5
"""Number of rows named in a message."""


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of an epoch.

    Args:
        number: Number in the epoch, from 1.
        index: Numbers of its rows in the data.
        rows: (x,) or (x, context), a view of a block.
        last: Whether it is the last batch of the epoch.
    """

    number: int
    index: Tensor
    rows: tuple[Tensor, ...]
    last: bool = False

    def __len__(self) -> int:
        return self.rows[0].shape[0]

    @property
    def inputs(self) -> tuple[Any, ...]:
        """Arguments of the objective for this batch."""
        return (self.rows,)

    def share(self, ranks: ProcessRanks) -> tuple[tuple[Any, ...], float]:
        """Return the arguments of the objective for the rows of this process, and their share of the batch."""
        rows, share = ranks.share(self.rows)
        return (rows,), share

    def place(self, positions: Tensor | None = None) -> str:
        """Name rows in a message.

        Args:
            positions: Positions in the batch; all of them by default.
        """
        named = self.index if positions is None else self.index[positions]
        shown = ", ".join(map(str, named[:ROWS_NAMED].tolist())) + (", ..." if len(named) > ROWS_NAMED else "")
        return f"rows {shown} of the training data"


def batches(rows: Rows, order: Tensor, size: int, done: int = 0) -> Iterator[Batch]:
    """Return every batch of an epoch after the first `done` ones; the last may be smaller, or larger by one row.

    Args:
        rows: Rows in memory.
        order: Numbers of the epoch's rows, in its order.
        size: Number of rows in a batch.
        done: Number of batches to leave out.
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
            yield Batch(number + 1, index[start:end], tuple(t[start:end] for t in block), last=number + 1 == count)


class RowBatches:
    """Training rows in memory, in batches that are shuffled anew in each epoch.

    Args:
        split: The rows.
        size: Number of rows in a batch.
        seed: Seed of the orders.

    Attributes:
        rows: Number of training rows.
        count: Number of batches in an epoch.
        example: Events of a batch, of which only the shape matters.
    """

    def __init__(self, split: RowSplit, size: int, seed: int) -> None:
        self.split, self.size, self.seed = split, size, seed
        self.rows = len(split.train_index)
        self.count = batches_in(self.rows, size)
        self.example = split.train.x[:size]

    def epoch(self, number: int, done: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch after the first `done` ones."""
        return batches(self.split.train, self.split.order(self.seed, number), self.size, done)

    def head(self, rows: int) -> tuple[Tensor, ...]:
        """Return the first rows of the first epoch: (x,) or (x, context)."""
        return self.split.train.take(self.split.order(self.seed, 1)[:rows])


class HeldOutRows:
    """Validation rows in memory.

    Args:
        split: The rows, with validation rows among them.

    Attributes:
        rows: Number of validation rows.
        name: Name of the data in messages.
    """

    def __init__(self, split: RowSplit) -> None:
        if split.valid is None:
            raise ValueError("expected a split with validation rows")
        self.data, self.index = split.valid, split.valid_index
        self.rows = len(self.index)
        self.name = "the data" if split.valid is split.train else "the validation data"

    def chunks(self, size: int) -> Iterator[Batch]:
        """Return consecutive batches of at most `size` rows."""
        for number, piece in enumerate(chunks(self.index, size), 1):
            yield Batch(number, piece, self.data.take(piece))
