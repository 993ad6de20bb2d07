"""Parameters and buffers of a module by name, with functions to copy and restore them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

NamedTensors = dict[str, Tensor]


def bundle(model: nn.Module, objective: nn.Module) -> nn.Module:
    """Return one module with everything that is trained: the model, and the objective with its own parameters."""
    return nn.ModuleDict({"model": model, "objective": objective})


def plain_name(name: str) -> str:
    """Return the model's name for a name in the bundle: 'model.chain.layers.0' becomes 'chain.layers.0'."""
    return name.removeprefix("model.") if name != "model" else ""


def tensors(module: nn.Module) -> NamedTensors:
    """Return every parameter and buffer once, by name, without copies."""
    return {name: t.detach() for name, t in (*module.named_parameters(), *module.named_buffers())}


def snapshot(module: nn.Module) -> NamedTensors:
    """Return a copy of every parameter and buffer."""
    return {name: t.clone() for name, t in tensors(module).items()}


@torch.no_grad()
def restore(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the module's own tensors; tensors without a value in `weights` are not changed."""
    own = tensors(module)
    for name, value in weights.items():
        local(own[name]).copy_(local(value))


def local(tensor: Tensor) -> Tensor:
    """Return this process's shard of a tensor that is split among processes, in the same memory; else the tensor itself."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor
