"""The optimizer: AdamW, fused where the device has it."""

from __future__ import annotations

import torch
from torch import nn

from .config import TrainConfig


def make_optimizer(parameters: list[nn.Parameter], config: TrainConfig) -> tuple[torch.optim.Optimizer, bool]:
    """Return AdamW, and whether it is the fused one, which not every device and type has."""
    try:
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True), True
    except RuntimeError:
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay), False
