"""Trying a step without taking it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .rng import random_state, set_random_state


@contextmanager
def rehearsal(whole: nn.Module, device: torch.device) -> Iterator[None]:
    """Within, steps may be tried; after, there are no gradients, and buffers and the random state are as they were.

    Args:
        whole: with every parameter and buffer that a step may change.
        device: of the random numbers.
    """
    state = random_state(device)
    buffers = {buffer: buffer.clone() for buffer in whole.buffers()}
    try:
        yield
    finally:
        whole.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, value in buffers.items():
                buffer.copy_(value)
        set_random_state(state, device)
