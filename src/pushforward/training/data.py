"""The rows that `fit` and `evaluate` work on: arrays checked and cast once, split and shuffled by seed."""

from __future__ import annotations

import dataclasses
import hashlib
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core import Distribution, Space
from ..errors import ContextError, DataError

CHUNK = 65_536
"""Rows looked at together when all are checked."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Events and, for conditional models, their contexts.

    Args:
        x: (N, *event).
        context: (N, *context) or None.
    """

    x: Tensor
    context: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def take(self, index: Tensor) -> tuple[Tensor, ...]:
        """The batch of some rows: (x,) or (x, context)."""
        x = self.x.index_select(0, index)
        return (x,) if self.context is None else (x, self.context.index_select(0, index))

    def fingerprint(self) -> list[str]:
        """Shape, type and a hash of the values, for each array."""
        return [_fingerprint(t) for t in (self.x, self.context) if t is not None]


@dataclasses.dataclass(frozen=True)
class RowSplit:
    """Training and validation rows.

    Args:
        train: where the training rows lie.
        train_index: their numbers there.
        valid: where the validation rows lie; None when there are none.
        valid_index: their numbers there.
    """

    train: Rows
    train_index: Tensor
    valid: Rows | None
    valid_index: Tensor

    def order(self, seed: int, epoch: int) -> Tensor:
        """The training rows in the order of an epoch."""
        order = torch.randperm(len(self.train_index), generator=_generator(seed, epoch))
        return self.train_index[order.to(self.train_index.device)]

    def fingerprint(self) -> list[str]:
        """Of the training rows, the validation rows and the split."""
        rows = [*self.train.fingerprint(), _fingerprint(self.train_index), _fingerprint(self.valid_index)]
        return rows if self.valid is None or self.valid is self.train else rows + self.valid.fingerprint()


def split_rows(rows: int, validation: float, seed: int) -> tuple[Tensor, Tensor]:
    """Numbers of the training and of the validation rows, both ascending: what `fit` uses for the same arguments.

    Args:
        rows: N.
        validation: a fraction in (0, 1) (at least one row), a whole number of rows, or 0 for none.
        seed: of the permutation whose first rows are the validation rows.

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
    """Check, cast and split what the user gave.

    Args:
        model: whose space, dtype and device count; other modules than distributions take floating-point rows of any shape.
        data: (N, *event), an array or a tensor.
        context: (N, *context) or None.
        validation: a fraction, a number of rows, rows, (rows, context), or None.
        seed: of the split.

    Raises:
        DataError: something is no array of finite numbers of the right shape, or lies outside the model's space.
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
        _require_inside(model.space, split.train.x, "the data")
        if split.valid is not None and split.valid is not split.train:
            _require_inside(model.space, split.valid.x, "the validation data")
    return split


def as_rows(model: nn.Module, data: Any, context: Any, name: str) -> Rows:
    """Check and cast events and contexts for a model: finite (NaN only where its space allows missing values).

    Raises:
        DataError: no numbers, the wrong shape, or values that are not finite.
        ContextError: a context is missing or unexpected.
    """
    device, dtype = placement(model)
    if not isinstance(model, Distribution):
        x = _checked(data, name, None, dtype, device)
        c = None if context is None else _checked(context, f"the context of {name}", None, dtype, device)
    else:
        if context is None and model.context is not None:
            raise ContextError(f"expected a context for {name} of shape (rows, {_sizes(model.context)}), got none")
        if context is not None and model.context is None:
            raise ContextError(f"expected no context for {name}: this {type(model).__name__} takes none, got one")
        x = _checked(data, name, model.space, dtype, device)
        c = None if context is None else _checked(context, f"the context of {name}", model.context, dtype, device)
    if c is not None and len(c) != len(x):
        raise DataError(f"expected as many contexts as rows, got {len(c)} contexts and {len(x)} rows in {name}")
    return Rows(x, c)


def placement(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and floating-point type of a module's first floating-point parameter or buffer."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            if tensor.is_floating_point():
                return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.get_default_dtype()


def chunks(index: Tensor, size: int) -> Iterator[Tensor]:
    """Consecutive pieces of at most `size` entries."""
    for start in range(0, len(index), size):
        yield index[start : start + size]


def _checked(values: Any, name: str, space: Space | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    source = _as_tensor(values, name)
    if space is not None:
        dtype = space.event_dtype(dtype)
        if tuple(source.shape[1:]) != space.shape or source.dim() == 0:
            raise DataError(f"expected {name} to have shape (rows, {_sizes(space)}), got {tuple(source.shape)}")
    elif source.dim() == 0:
        raise DataError(f"expected {name} to have one row for each event, got a single number")
    elif not source.is_floating_point():
        dtype = source.dtype
    cast = source.to(dtype)
    if source.is_floating_point():
        missing = bool(getattr(space, "allows_missing", False)) and dtype.is_floating_point
        _require_finite(source, cast, name, dtype, missing=missing)
    if source.is_floating_point() and not dtype.is_floating_point and not bool((cast == source).all()):
        where = (cast != source).nonzero()[0].tolist()
        raise DataError(f"expected whole numbers, got {source[tuple(where)].item()} in {_place(where)} of {name}")
    return cast.to(device)


def _as_tensor(values: Any, name: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"expected {name} to be an array of numbers, got {type(values).__name__}: {error}") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"expected {name} to be an array of numbers, got {type(values).__name__} of {array.dtype}")
    if array.ndim == 0:
        raise DataError(f"expected {name} to have one row for each event, got a single number")
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _require_finite(source: Tensor, cast: Tensor, name: str, dtype: torch.dtype, *, missing: bool) -> None:
    seen = cast if dtype.is_floating_point else source
    if bool(seen.isfinite().all()):
        return
    bad = seen.isinf() if missing else ~seen.isfinite()
    if not bool(bad.any()):
        return
    where = bad.nonzero()[0].tolist()
    value = source[tuple(where)]
    if bool(value.isfinite()):
        raise DataError(
            f"expected values that fit {dtype}, got {value.item()} in {_place(where)} of {name}; rescale it"
        )
    raise DataError(f"expected finite values, got {value.item()} in {_place(where)} of {name}; remove or replace it")


def _require_inside(space: Space, x: Tensor, name: str) -> None:
    for start in range(0, len(x), CHUNK):
        outside = ~space.contains(x[start : start + CHUNK])
        if bool(outside.any()):
            row = start + int(outside.nonzero()[0])
            values = ", ".join(f"{v:g}" for v in x[row].flatten()[:5].tolist())
            more = ", ..." if x[row].numel() > 5 else ""
            raise DataError(f"expected rows inside {space}, got row {row} of {name} outside: ({values}{more})")


def _place(where: list[int]) -> str:
    row, *column = where
    if not column:
        return f"row {row}"
    return f"row {row}, column {column[0] if len(column) == 1 else tuple(column)}"


def _sizes(space: Space) -> str:
    return ", ".join(map(str, space.shape))


def _generator(seed: int, epoch: int) -> torch.Generator:
    # A prime apart, so that the epochs of neighbouring seeds do not share their orders.
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)


def _fingerprint(tensor: Tensor) -> str:
    plain = tensor.detach().cpu().contiguous().flatten()
    digest = hashlib.blake2b(plain.view(torch.uint8).numpy().data, digest_size=16).hexdigest()
    return f"{tuple(tensor.shape)} {tensor.dtype} {digest}"
