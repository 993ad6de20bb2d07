"""A limit on what building a model may allocate, for descriptions that come from files of unknown origin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ..errors import SpecError

SPARE_NUMBERS, SPARE_CALLS = 2**25, 20_000
"""What any model may use beside what grows with its size, for masks, permutations and orthogonal starting values."""
TIMES, CALLS = 16, 1000
"""Numbers that are allocated for each one that is kept, and calls of torch for each tensor, at most."""


class Budget(TorchDispatchMode):
    """While entered, tensors that a model of a known size has no use for are refused before they are allocated.

    Args:
        numbers: Number of numbers that the model keeps.
        tensors: Number of tensors that hold them.

    Raises:
        SpecError: within, where more is allocated, or more calls are made, than any model of this size needs.
    """

    def __init__(self, numbers: int, tensors: int) -> None:
        super().__init__()
        self.most = self.left = TIMES * numbers + SPARE_NUMBERS
        self.calls = CALLS * tensors + SPARE_CALLS

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count one call and what it allocates, and make it."""
        kwargs = kwargs or {}
        self.calls -= 1
        if self.calls < 0 or (_bound(args, kwargs) > self.left and _shapes_only(func, args, kwargs) > self.left):
            raise SpecError("it asks for far more numbers than the file holds")
        result = func(*args, **kwargs)
        self.left -= _allocated(result, (args, kwargs))
        return result


def _bound(args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    """Return a number that what a call allocates cannot exceed: the product of all sizes and ends in its arguments."""
    product = 1
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, Tensor):
            product *= max(1, leaf.numel())
        elif isinstance(leaf, (int, float)) and math.isfinite(leaf) and abs(leaf) > 1:
            product *= math.ceil(abs(leaf))
    return product


def _shapes_only(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> float:
    """What a call would allocate, computed on torch's device without memory; infinite where that is not possible."""
    args, kwargs = tree_map(lambda leaf: leaf.to("meta") if isinstance(leaf, Tensor) else leaf, (args, kwargs))
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("meta"), "pin_memory": False}
    try:
        return _allocated(func(*args, **kwargs), (args, kwargs))
    except (RuntimeError, TypeError, OverflowError):
        return math.inf


def _allocated(result: Any, given: Any) -> int:
    """Numbers in the memory of a result that is not the memory of what was given."""
    known = {leaf.untyped_storage()._cdata for leaf in tree_leaves(given) if isinstance(leaf, Tensor)}
    new = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
    return sum(t.untyped_storage().nbytes() // t.element_size() for t in new if t.untyped_storage()._cdata not in known)
