"""Trial steps, which compute a loss and its gradient and change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .random_state import random_state, set_random_state


@contextmanager
def rehearsal(whole: nn.Module, device: torch.device) -> Iterator[None]:
    """Allow trial steps within the block; afterwards remove gradients, and restore buffers and random state.

    Args:
        whole: Module with every parameter and buffer that a training step may change.
        device: Device that has the random state.
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
    """Return whether the loss of some rows does not depend on one of the parameters.

    Args:
        whole: Module with every parameter and buffer that a training step may change; it is restored afterwards.
        objective: The loss.
        inputs: Arguments of the objective.
        device: Device that has the random state.
    """
    with rehearsal(whole, device):
        loss = objective(*inputs)
        if loss.requires_grad:
            loss.backward()
        return any(p.requires_grad and p.grad is None for p in whole.parameters())
