"""Split of the rows into training and validation rows, determined by the seed."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Distribution
from ..errors import DataError
from .batches import HeldOutRows, RowBatches
from .config import TrainConfig
from .data import Rows, as_rows, fingerprint_of, placement, require_inside
from .random_state import seeded_generator
from .row_weights import as_row_weights, with_mean_one


@dataclasses.dataclass(frozen=True)
class RowSplit:
    """Training and validation rows in memory.

    Args:
        train: Rows with the training rows among them.
        train_index: Numbers of the training rows in `train`.
        valid: Rows with the validation rows among them; None if there are none.
        valid_index: Numbers of the validation rows in `valid`.
        weights: Weights of the rows of `train`, with mean one over the training rows; None for equal weights.
        valid_weights: Weights of the rows of `valid`, with mean one over the validation rows; None for equal weights.
    """

    train: Rows
    train_index: Tensor
    valid: Rows | None
    valid_index: Tensor
    weights: Tensor | None = None
    valid_weights: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Device that the rows are on."""
        return self.train.x.device

    def resolve(self, config: TrainConfig) -> TrainConfig:
        """Return the options with every None chosen for the number of training rows."""
        return config.resolve(len(self.train_index))

    def source(self, config: TrainConfig) -> RowBatches:
        """Return the batches of the training rows.

        Args:
            config: Options of the run, resolved.
        """
        return RowBatches(self.train, self.train_index, self.weights, config.batch_size or 1, config.seed)

    def held_out(self) -> HeldOutRows | None:
        """Return the validation rows; None if there are none."""
        if self.valid is None:
            return None
        name = "the data" if self.valid is self.train else "the validation data"
        return HeldOutRows(self.valid, self.valid_index, self.valid_weights, name)

    def fingerprint(self) -> list[str]:
        """Return the fingerprints of the training rows, the validation rows, the split and the weights."""
        rows = [*self.train.fingerprint(), fingerprint_of(self.train_index), fingerprint_of(self.valid_index)]
        rows += [] if self.valid is None or self.valid is self.train else self.valid.fingerprint()
        return rows if self.weights is None else [*rows, f"weights {fingerprint_of(self.weights)}"]

    def sample(self) -> str | None:
        """Return None, as `fingerprint` covers the values of all rows already."""
        return None


def split_rows(rows: int, validation: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the numbers of the training rows and of the validation rows, both ascending, as `fit` splits them.

    Args:
        rows: Number of rows.
        validation: A fraction in (0, 1) (at least one row), a whole number of rows, or 0 for none.
        seed: Seed of the permutation whose first rows are the validation rows.

    Raises:
        DataError: The validation part is out of range, or fewer than two rows are left for training.
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
    order = torch.randperm(rows, generator=seeded_generator(seed, 0))
    return order[count:].sort().values, order[:count].sort().values


def prepare(model: nn.Module, data: Any, context: Any, validation: Any, seed: int, weights: Any = None) -> RowSplit:
    """Check, convert and split the rows passed by a user.

    Args:
        model: Model that gives the space, dtype and device; modules other than distributions take floating-point rows of any
            shape.
        data: Events, (N, *event), an array or a tensor.
        context: Contexts, (N, *context), or None.
        validation: A fraction, a number of rows, rows, (rows, context), or None.
        seed: Seed of the split.
        weights: Weights of the rows, (N,), or None. Rows of weight 0 are left out.

    Raises:
        DataError: An argument is not an array of finite numbers of the right shape, or lies outside the model's space.
        ContextError: A context is missing or unexpected.
    """
    rows = as_rows(model, data, context, "the data")
    device = rows.x.device
    given = None if weights is None else as_row_weights(weights, len(rows))
    kept = torch.arange(len(rows)) if given is None else given.nonzero().flatten()
    if validation is None:
        validation = 0
    if isinstance(validation, numbers.Real) and not isinstance(validation, bool):
        part = float(validation)
        train, valid = split_rows(len(kept), int(part) if part.is_integer() else part, seed)
        held, valid_index = rows if len(valid) else None, kept[valid].to(device)
    else:
        held = held_out_rows(model, validation).data
        train, _ = split_rows(len(kept), 0, seed)
        valid_index = torch.arange(len(held), device=device)
    split = RowSplit(rows, kept[train].to(device), held, valid_index)
    if given is not None:
        like = rows.x.new_zeros((), dtype=placement(model)[1])
        valid_weights = with_mean_one(given, valid_index, like) if held is rows else None
        split = dataclasses.replace(
            split, weights=with_mean_one(given, split.train_index, like), valid_weights=valid_weights
        )
    if isinstance(model, Distribution) and model.space.bounded:
        require_inside(model.space, split.train.x, "the data")
    return split


def held_out_rows(model: nn.Module, validation: Any) -> HeldOutRows:
    """Check and convert validation rows.

    Args:
        model: Model that gives the space, dtype and device.
        validation: Rows or (rows, context).

    Raises:
        DataError: They are not an array of finite numbers of the right shape, there are none, or one is outside the space.
        ContextError: A context is missing or unexpected.
    """
    pair = validation if isinstance(validation, tuple) else (validation,)
    if len(pair) not in (1, 2):
        raise DataError(f"expected validation to be rows or a pair (rows, context), got a tuple of {len(pair)}")
    name = "the validation data"
    rows = as_rows(model, pair[0], pair[1] if len(pair) == 2 else None, name)
    if len(rows) == 0:
        raise DataError("expected at least one validation row, got none; pass validation=None for no validation")
    if isinstance(model, Distribution) and model.space.bounded:
        require_inside(model.space, rows.x, name)
    return HeldOutRows(rows, torch.arange(len(rows), device=rows.x.device), None, name)
