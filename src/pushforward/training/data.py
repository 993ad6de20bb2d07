"""Rows of data: arrays and tensors that are checked and converted once, for `fit` and `evaluate`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core import Distribution, Space
from ..errors import ContextError, DataError

CHUNK = 65_536
"""Number of rows that are checked together."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Events and, for conditional models, their contexts.

    Args:
        x: Events, (N, *event).
        context: Contexts, (N, *context), or None.
    """

    x: Tensor
    context: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def take(self, index: Tensor) -> tuple[Tensor, ...]:
        """Return the rows with given numbers, as (x,) or (x, context)."""
        x = self.x.index_select(0, index)
        return (x,) if self.context is None else (x, self.context.index_select(0, index))

    def fingerprint(self) -> list[str]:
        """Return a text with the shape, type and a hash of the values for each array."""
        return [fingerprint_of(t) for t in (self.x, self.context) if t is not None]


def as_rows(model: nn.Module, data: Any, context: Any, name: str) -> Rows:
    """Check and convert events and contexts for a model; NaN is allowed only where the model's space has missing values.

    Raises:
        DataError: The data are not numbers, have the wrong shape, or are not finite.
        ContextError: A context is missing or unexpected.
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
    """Return the device and type of a module's first floating-point parameter or buffer."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            if tensor.is_floating_point():
                return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.get_default_dtype()


def chunks(index: Tensor, size: int) -> Iterator[Tensor]:
    """Return consecutive pieces of at most `size` entries."""
    for start in range(0, len(index), size):
        yield index[start : start + size]


def _checked(values: Any, name: str, space: Space | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    source = as_tensor(values, name)
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


def as_tensor(values: Any, name: str) -> Tensor:
    """Return an array of numbers as a tensor.

    Raises:
        DataError: The values are not an array of numbers.
    """
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


def require_inside(space: Space, x: Tensor, name: str) -> None:
    """Refuse rows outside a space.

    Raises:
        DataError: A row lies outside; the message names the first one.
    """
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


def fingerprint_of(tensor: Tensor) -> str:
    """Return a text with the shape, type and a hash of the values of a tensor."""
    plain = tensor.detach().cpu().contiguous().flatten()
    digest = hashlib.blake2b(plain.view(torch.uint8).numpy().data, digest_size=16).hexdigest()
    return f"{tuple(tensor.shape)} {tensor.dtype} {digest}"
