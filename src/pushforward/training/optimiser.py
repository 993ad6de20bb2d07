"""The optimiser, and how often its flag of non-finite numbers is read."""

from __future__ import annotations

import torch
from torch import nn

from .config import TrainConfig


def make_optimiser(parameters: list[nn.Parameter], config: TrainConfig) -> tuple[torch.optim.AdamW, bool]:
    """AdamW, and whether it is the fused one, which not every device and type has."""
    try:
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True), True
    except RuntimeError:
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay), False


def steps_between_checks(device: torch.device) -> int:
    """Steps after which the flag of non-finite numbers is read: 1 where reading it costs nothing."""
    return 1 if device.type == "cpu" else 50
