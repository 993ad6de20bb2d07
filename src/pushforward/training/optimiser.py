"""The optimiser, and the learning rate that it follows."""

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


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate
