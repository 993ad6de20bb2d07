"""Limit on the memory that building a model may allocate, for descriptions read from files of unknown origin."""

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
"""Allowance for every model, whatever its size: masks, permutations and orthogonal starting values need it."""
TIMES, CALLS = 16, 1000
"""Largest count of numbers allocated per number that the model keeps, and of torch calls per tensor that it keeps."""


class Budget(TorchDispatchMode):
    """Context manager that refuses allocations far larger than a model of a known size needs, before they are made.

    Args:
        numbers: Number of numbers that the model keeps.
        tensors: Number of tensors that hold them.

    Raises:
        SpecError: Inside the context, when more numbers are allocated or more calls are made than such a model needs.
    """

    def __init__(self, numbers: int, tensors: int) -> None:
        super().__init__()
        self.most = self.left = TIMES * numbers + SPARE_NUMBERS
        self.calls = CALLS * tensors + SPARE_CALLS

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count one torch call and the numbers that it allocates, and run it."""
        kwargs = kwargs or {}
        self.calls -= 1
        # The cheap bound is often far above the truth (it multiplies all sizes), so the exact count is
        # computed on the meta device before the call is refused.
        if self.calls < 0 or (_bound(args, kwargs) > self.left and _shapes_only(func, args, kwargs) > self.left):
            raise SpecError(
                "expected a description that fits the numbers in the file, got one that needs far more numbers"
            )
        result = func(*args, **kwargs)
        self.left -= _allocated(result, (args, kwargs))
        return result


def _bound(args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    """Return an upper bound on the numbers that a call allocates: the product of all sizes and ends in its arguments."""
    product = 1
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, Tensor):
            product *= max(1, leaf.numel())
        elif isinstance(leaf, (int, float)) and math.isfinite(leaf) and abs(leaf) > 1:
            product *= math.ceil(abs(leaf))
    return product


def _shapes_only(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> float:
    """Return the numbers that a call would allocate, found on the meta device; infinity if the call cannot run there."""
    args, kwargs = tree_map(lambda leaf: leaf.to("meta") if isinstance(leaf, Tensor) else leaf, (args, kwargs))
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("meta"), "pin_memory": False}
    try:
        return _allocated(func(*args, **kwargs), (args, kwargs))
    except (RuntimeError, TypeError, OverflowError):
        return math.inf


def _allocated(result: Any, given: Any) -> int:
    """Return how many numbers lie in newly allocated memory of a result, not in memory of the arguments."""
    known = {leaf.untyped_storage()._cdata for leaf in tree_leaves(given) if isinstance(leaf, Tensor)}
    new = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
    return sum(t.untyped_storage().nbytes() // t.element_size() for t in new if t.untyped_storage()._cdata not in known)
