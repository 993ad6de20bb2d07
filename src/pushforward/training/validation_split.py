"""Split of the rows into training and validation rows, and their order in each epoch, both by seed."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Distribution
from ..errors import DataError
from .data import Rows, as_rows, fingerprint_of, require_inside


@dataclasses.dataclass(frozen=True)
class RowSplit:
    """Training and validation rows in memory.

    Args:
        train: Rows with the training rows among them.
        train_index: Numbers of the training rows there.
        valid: Rows with the validation rows among them; None when there are none.
        valid_index: Numbers of the validation rows there.
    """

    train: Rows
    train_index: Tensor
    valid: Rows | None
    valid_index: Tensor

    def order(self, seed: int, epoch: int) -> Tensor:
        """Return the numbers of the training rows in the order of an epoch."""
        order = torch.randperm(len(self.train_index), generator=_generator(seed, epoch))
        return self.train_index[order.to(self.train_index.device)]

    def fingerprint(self) -> list[str]:
        """Return the fingerprints of the training rows, the validation rows and the split."""
        rows = [*self.train.fingerprint(), fingerprint_of(self.train_index), fingerprint_of(self.valid_index)]
        return rows if self.valid is None or self.valid is self.train else rows + self.valid.fingerprint()


def split_rows(rows: int, validation: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the numbers of the training and of the validation rows, both ascending: those of `fit` with the same arguments.

    Args:
        rows: Number of rows.
        validation: A fraction in (0, 1) (at least one row), a whole number of rows, or 0 for none.
        seed: Seed of the permutation whose first rows are the validation rows.

    Raises:
        DataError: the validation part is out of range, or fewer than two rows are left for training.
    """
    if isinstance(validation, numbers.Integral):
        count = int(validation)
    elif 0 <= validation < 1:
        count = max(1, round(rows * float(validation))) if validation else 0
    else:
        raise DataError(f"expected validation to be a fraction in [0, 1), a number of rows or rows, got {validation}")
    if count < 0 or rows - count < 2:
        raise DataError(
            f"expected at least 2 rows to train on, got {rows} rows of which {count} are for validation; "
            "give more rows or a smaller validation part"
        )
    order = torch.randperm(rows, generator=_generator(seed, 0))
    return order[count:].sort().values, order[:count].sort().values


def prepare(model: nn.Module, data: Any, context: Any, validation: Any, seed: int) -> RowSplit:
    """Check, cast and split the rows that a user gave.

    Args:
        model: Model that gives the space, dtype and device; modules other than distributions take floating-point rows of any
            shape.
        data: (N, *event), an array or a tensor.
        context: (N, *context) or None.
        validation: A fraction, a number of rows, rows, (rows, context), or None.
        seed: Seed of the split.

    Raises:
        DataError: an argument is no array of finite numbers of the right shape, or lies outside the model's space.
        ContextError: a context is missing or unexpected.
    """
    rows = as_rows(model, data, context, "the data")
    device = rows.x.device
    if validation is None:
        validation = 0
    if isinstance(validation, numbers.Real) and not isinstance(validation, bool):
        part = float(validation)
        train, valid = split_rows(len(rows), int(part) if part.is_integer() else part, seed)
        split = RowSplit(rows, train.to(device), rows if len(valid) else None, valid.to(device))
    else:
        pair = validation if isinstance(validation, tuple) else (validation,)
        if len(pair) not in (1, 2):
            raise DataError(f"expected validation to be rows or a pair (rows, context), got a tuple of {len(pair)}")
        held = as_rows(model, pair[0], pair[1] if len(pair) == 2 else None, "the validation data")
        if len(held) == 0:
            raise DataError("expected at least one validation row, got none; pass validation=None for no validation")
        train, _ = split_rows(len(rows), 0, seed)
        split = RowSplit(rows, train.to(device), held, torch.arange(len(held), device=device))
    if isinstance(model, Distribution) and model.space.bounded:
        require_inside(model.space, split.train.x, "the data")
        if split.valid is not None and split.valid is not split.train:
            require_inside(model.space, split.valid.x, "the validation data")
    return split


def _generator(seed: int, epoch: int) -> torch.Generator:
    # A prime apart, so that the epochs of neighbouring seeds do not share their orders.
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
