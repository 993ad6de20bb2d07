"""A model without its approximations: the same parameters, with finer solvers, exact traces, whole series."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from .transform import Transform

Module = TypeVar("Module", bound=nn.Module)


def exactly(model: Module) -> Module:
    """The same model with every layer that approximates replaced by its exact twin; it shares all parameters and buffers.

    It costs more time, and tells how far the model's own numbers are from those of the map that it approximates.

    Args:
        model: a flow, a layer, anything that holds some; it is not changed.

    Returns:
        Another module of the same class, the twin itself where `model` is a layer that has one.
    """
    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return _exact(copy.deepcopy(model, shared))


def _exact(module: Module) -> Module:
    twin = module.exact_twin() if isinstance(module, Transform) else None
    if twin is not None:
        return twin.train(module.training)  # type: ignore[return-value]
    for name, child in module.named_children():
        setattr(module, name, _exact(child))
    return module
