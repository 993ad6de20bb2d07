"""Exact twin of a model: the same parameters with finer solvers, exact traces and complete series."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from .transform import Transform

Module = TypeVar("Module", bound=nn.Module)


def exactly(model: Module) -> Module:
    """Return the model with every approximate layer replaced by its exact twin, sharing all parameters and buffers.

    The twin is slower. The difference between the two shows the approximation error of the model.

    Args:
        model: Flow, layer, or any module that contains layers; it is not changed.

    Returns:
        A module of the same class; if `model` is a layer with a twin, that twin.
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
