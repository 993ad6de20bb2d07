"""Trial steps: a loss and its gradient are computed, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .random_state import random_state, set_random_state


@contextmanager
def rehearsal(whole: nn.Module, device: torch.device) -> Iterator[None]:
    """Allow trial steps within the block; after it there are no gradients, and buffers and random state are as before.

    Args:
        whole: Module with every parameter and buffer that a step may change.
        device: Device of the random numbers.
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


def leaves_out_parameters(
    whole: nn.Module, objective: nn.Module, inputs: tuple[Any, ...], device: torch.device
) -> bool:
    """Return whether a parameter has no part in the loss of some rows.

    Args:
        whole: Module with every parameter and buffer that a step may change; it stays as it is.
        objective: The loss.
        inputs: Arguments of the objective.
        device: Device of the random numbers.
    """
    with rehearsal(whole, device):
        loss = objective(*inputs)
        if loss.requires_grad:
            loss.backward()
        return any(p.requires_grad and p.grad is None for p in whole.parameters())
