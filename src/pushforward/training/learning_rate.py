"""Learning rate of every step: warm-up, then a plateau, cosine, linear or constant schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .config import TrainConfig


def schedule_factor(config: TrainConfig, step: int, total: int, plateau: float) -> float:
    """Return the factor by which the learning rate is multiplied at a step.

    Args:
        config: Options of the run, resolved.
        step: Number of steps done so far.
        total: Number of steps of the whole run.
        plateau: Product of the reductions so far (see `early_stopping`).
    """
    warmup = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
    if config.schedule == "linear":
        return warmup * max(0.0, 1 - step / total)
    if config.schedule == "plateau":
        return warmup * plateau
    return warmup


def rates_of(optimizer: torch.optim.Optimizer) -> list[float]:
    """Return the learning rate of every group of parameters."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> None:
    """Set the learning rate of every group of parameters."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
