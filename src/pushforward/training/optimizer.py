"""The optimizer: AdamW, fused where the device supports it, or one made by the user's function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..errors import SpecError
from .config import TrainConfig

OptimizerFactory = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
"""Function from the parameters to their optimizer, such as `torch.optim.SGD` or `lambda p: torch.optim.SGD(p, lr=0.1)`."""


def make_optimizer(
    parameters: list[nn.Parameter], config: TrainConfig, factory: OptimizerFactory | None = None
) -> tuple[torch.optim.Optimizer, bool]:
    """Return the optimizer, and whether it can skip a step by a flag on the device, as torch's fused optimizers can.

    Args:
        parameters: The parameters to train.
        config: Options of the run; `lr` and `weight_decay` are used by the default optimizer, AdamW.
        factory: Function that makes another optimizer.

    Raises:
        SpecError: The factory returns no optimizer of these parameters, or one that needs a closure.
    """
    if factory is not None:
        optimizer = _made(factory, parameters)
        return optimizer, bool(getattr(optimizer, "_step_supports_amp_scaling", False))
    try:
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True), True
    except RuntimeError:
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay), False


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Return the parameters of an optimizer, in the order in which its state numbers them."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _made(factory: Any, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if not callable(factory):
        raise SpecError(
            f"expected optimizer to be a function that makes one from the parameters, got {_kind(factory)}; "
            "pass for example optimizer=torch.optim.SGD"
        )
    optimizer = factory(parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise SpecError(f"expected optimizer to return a torch.optim.Optimizer, got {_kind(optimizer)}")
    if not set(parameters_of(optimizer)) <= set(parameters):
        raise SpecError(f"expected an optimizer of the parameters that it is given, got {_kind(optimizer)} of others")
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise SpecError(f"expected an optimizer whose step needs no closure, got {_kind(optimizer)}")
    return optimizer


def _kind(value: object) -> str:
    return f"{'an' if type(value).__name__[0] in 'AEIOU' else 'a'} {type(value).__name__}"
