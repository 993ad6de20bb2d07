"""The tensors of a module by name: copies, restoring them, and their moving average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def bundle(model: nn.Module, objective: nn.Module) -> nn.Module:
    """One module for what is trained: the model, and what the objective has of its own."""
    return nn.ModuleDict({"model": model, "objective": objective})


def plain_name(name: str) -> str:
    """A name in the bundle as seen from the model: 'model.chain.layers.0' -> 'chain.layers.0'."""
    return name.removeprefix("model.") if name != "model" else ""


def tensors(module: nn.Module) -> Weights:
    """Every parameter and buffer once, by name, shared and not copied."""
    return {name: t.detach() for name, t in (*module.named_parameters(), *module.named_buffers())}


def snapshot(module: nn.Module) -> Weights:
    """A copy of every parameter and buffer."""
    return {name: t.clone() for name, t in tensors(module).items()}


@torch.no_grad()
def restore(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights back into the module's own tensors; names that are not among them stay as they are."""
    own = tensors(module)
    for name, value in weights.items():
        local(own[name]).copy_(local(value))


def local(tensor: Tensor) -> Tensor:
    """What this process has of a tensor that is shared out among several, in the same memory; else the tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


class MovingAverage:
    """Exponential moving average of the weights: a <- d a + (1 - d) w, with d = min(decay, (1 + t) / (10 + t)).

    The rising decay lets the average forget the starting weights. Running averages of batch normalisations are averaged
    too, as they describe the weights of the moment; buffers that are not saved (masks) or not finite are left out.

    Args:
        module: whose weights are averaged.
        decay: in (0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        parameters = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        saved = module.state_dict().keys()
        buffers = [
            (name, b)
            for name, b in module.named_buffers()
            if name in saved and b.is_floating_point() and bool(b.isfinite().all())
        ]
        self.tracked = {name: t.detach() for name, t in (*parameters, *buffers)}
        self.average = {name: t.clone() for name, t in self.tracked.items()}
        self._pairs = [local(t) for t in self.average.values()], [local(t) for t in self.tracked.values()]

    def update(self, step: int) -> None:
        """Move towards the weights after the `step`-th step."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._pairs, 1 - decay)

    @torch.no_grad()
    def load(self, average: Mapping[str, Tensor]) -> None:
        """Take over the averages of an earlier run."""
        for name, value in self.average.items():
            local(value).copy_(local(average[name]))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module has the averaged weights; after, its own again."""
        own = {name: t.clone() for name, t in self.tracked.items()}
        try:
            self._set(self.average)
            yield
        finally:
            self._set(own)

    @torch.no_grad()
    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, tensor in self.tracked.items():
            local(tensor).copy_(local(values[name]))
