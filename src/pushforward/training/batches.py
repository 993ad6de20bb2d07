"""Batches of an epoch: slices of rows in memory, which are gathered in the epoch's order many batches at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from .config import batches_in
from .data import Rows, chunks
from .parallel.processes import ProcessRanks
from .random_state import seeded_generator

BLOCK_NUMBERS = 2**20
"""Largest number of values gathered at once, though at least a batch: 4 MB of float32, which fit in the processor's cache."""
ROWS_NAMED = 5
"""Largest number of rows listed in a message."""


class StepInputs(Protocol):
    """A batch as a training step sees it: its rows, and the part of them that one process computes."""

    def __len__(self) -> int:
        """Return the number of rows."""

    @property
    def inputs(self) -> tuple[Any, ...]:
        """Positional arguments for the objective."""

    def share(self, ranks: ProcessRanks) -> tuple[tuple[Any, ...], float]:
        """Return the objective's arguments for the rows of this process, and the share of these rows in the batch."""


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of an epoch.

    Args:
        number: Number in the epoch, from 1.
        rows: The tensors (x,) or (x, context); views of a larger block of gathered rows.
        index: Numbers of its rows in the data; None if only their positions in the batch are known.
        weights: Weights of the rows, (B,), with mean one over the data set; None for rows of equal weight.
        last: Whether it is the last batch of the epoch.
    """

    number: int
    rows: tuple[Tensor, ...]
    index: Tensor | None = None
    weights: Tensor | None = None
    last: bool = False

    def __len__(self) -> int:
        return self.rows[0].shape[0]

    @property
    def inputs(self) -> tuple[Any, ...]:
        """Positional arguments for the objective: the rows and, if there are any, their weights."""
        return (self.rows,) if self.weights is None else (self.rows, self.weights)

    def share(self, ranks: ProcessRanks) -> tuple[tuple[Any, ...], float]:
        """Return the objective's arguments for the rows of this process, and the share of these rows in the batch."""
        if self.weights is None:
            rows, share = ranks.share(self.rows)
            return (rows,), share
        (*some, weights), share = ranks.share((*self.rows, self.weights))
        return (tuple(some), weights), share

    def place(self, positions: Tensor | None = None) -> str:
        """Return the row numbers for a message: '3, 17', or '0, 2 of batch 5' if only positions in the batch are known.

        Args:
            positions: Positions in the batch; all of them by default.
        """
        named = torch.arange(len(self)) if self.index is None else self.index
        named = named if positions is None else named[positions.to(named.device)]
        shown = ", ".join(map(str, named[:ROWS_NAMED].tolist())) + (", ..." if len(named) > ROWS_NAMED else "")
        where = f" of batch {self.number}" if self.index is None else ""
        return f"{shown}{where}"


def batches(rows: Rows, order: Tensor, size: int, done: int = 0, weights: Tensor | None = None) -> Iterator[Batch]:
    """Return every batch of an epoch after the first `done` ones.

    The last batch has fewer rows than the others, or one more: a single row left over joins the batch before it.

    Args:
        rows: Rows in memory.
        order: Numbers of the epoch's rows, in its order.
        size: Number of rows in a batch.
        done: Number of batches to skip at the start.
        weights: Weights of all rows, or None.
    """
    count = batches_in(len(order), size)
    numbers = sum(t[0].numel() for t in (rows.x, rows.context) if t is not None)
    per_block = max(1, BLOCK_NUMBERS // max(1, size * numbers))
    # Blocks start at the same batches whether or not batches are skipped: the rounding of a matrix product may depend on
    # the memory alignment of a batch, and a resumed run must give the same bits.
    for first in range(done - done % per_block, count, per_block):
        last = min(first + per_block, count)
        index = order[first * size : len(order) if last == count else last * size]
        block = rows.take(index)
        own = None if weights is None else weights.index_select(0, index)
        for number in range(max(first, done), last):
            start = (number - first) * size
            end = len(index) if number + 1 == count else start + size
            yield Batch(
                number=number + 1,
                rows=tuple(t[start:end] for t in block),
                index=index[start:end],
                weights=None if own is None else own[start:end],
                last=number + 1 == count,
            )


class RowBatches:
    """Training rows in memory, in batches that are shuffled anew in each epoch.

    Args:
        data: Rows with the training rows among them.
        index: Numbers of the training rows.
        weights: Weights of the rows of `data`, or None.
        size: Number of rows in a batch.
        seed: Seed of the orders.

    Attributes:
        rows: Number of training rows.
        count: Number of batches in an epoch; None if it is not known yet.
        example: Events of one batch; only the shape matters.
    """

    def __init__(self, data: Rows, index: Tensor, weights: Tensor | None, size: int, seed: int) -> None:
        self.data, self.index, self.weights, self.size, self.seed = data, index, weights, size, seed
        self.rows = len(index)
        self.count: int | None = batches_in(self.rows, size)
        self.example = data.x[:size]

    def order(self, number: int) -> Tensor:
        """Return the numbers of the training rows in the order of an epoch."""
        order = torch.randperm(self.rows, generator=seeded_generator(self.seed, number))
        return self.index[order.to(self.index.device)]

    def epoch(self, number: int, done: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch after the first `done` ones."""
        return batches(self.data, self.order(number), self.size, done, self.weights)

    def head(self, rows: int) -> tuple[Tensor, ...]:
        """Return the first rows of the first epoch: (x,) or (x, context)."""
        return self.data.take(self.order(1)[:rows])

    def ended(self, batches: int, rows: int) -> None:
        """Record how many batches and rows the finished epoch had; nothing to do here, as both are known beforehand."""


class HeldOutRows:
    """Validation rows in memory.

    Args:
        data: Rows with the validation rows among them.
        index: Numbers of the validation rows.
        weights: Weights of the rows of `data`, or None.
        name: Name of the data in messages.

    Attributes:
        rows: Number of validation rows.
    """

    def __init__(self, data: Rows, index: Tensor, weights: Tensor | None, name: str) -> None:
        self.data, self.index, self.weights, self.name = data, index, weights, name
        self.rows = len(index)

    def fingerprint(self) -> list[str]:
        """Return the fingerprints of the arrays that the rows are in."""
        return self.data.fingerprint()

    def chunks(self, size: int) -> Iterator[Batch]:
        """Return consecutive batches of at most `size` rows."""
        for number, piece in enumerate(chunks(self.index, size), 1):
            weights = None if self.weights is None else self.weights.index_select(0, piece)
            yield Batch(number, self.data.take(piece), piece, weights)
