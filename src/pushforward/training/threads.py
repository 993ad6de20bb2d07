"""Number of processor threads for a run: one if a step is small, because sharing it would cost more time than it saves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from .config import TrainConfig

WORK = 2**26
"""Number of multiplications in the largest matrix product of a step from which threads share it: about a millisecond of one.

The limit is high because too many threads on a busy machine wait for one another and make small steps many times slower.
"""


def threads_for(config: TrainConfig, parameters: Iterable[Tensor], x: Tensor) -> int:
    """Return the number of threads of a run, never more than `torch.get_num_threads()`.

    Args:
        config: Options of the run; `threads` is used if it is a number.
        parameters: Parameters to train.
        x: Events of one batch, (B, *event); on a GPU the number of threads is not changed.
    """
    available = torch.get_num_threads()
    if x.device.type != "cpu":
        return available
    if config.threads is not None:
        return min(config.threads, available)
    return available if _largest_product(parameters, x) >= WORK else 1


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Set torch's number of threads within the block; restore it afterwards."""
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _largest_product(parameters: Iterable[Tensor], x: Tensor) -> int:
    """Return the number of multiplications of a batch with the largest weight; a kernel is used at every position."""
    positions = math.prod(x.shape[2:])
    sizes = [p.numel() * (positions if p.dim() > 2 else 1) for p in parameters if p.dim() > 1]
    return x.shape[0] * max(sizes, default=0)
