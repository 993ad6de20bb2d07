"""Exponential moving average of the weights, which is validated and kept instead of the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .model_weights import local


class MovingAverage:
    """Exponential moving average of the weights: a <- d a + (1 - d) w, with d = min(decay, (1 + t) / (10 + t)).

    With the rising decay the average forgets the starting weights. The running averages of batch normalisation layers
    are averaged too, as they belong to the current weights; buffers that are not saved (masks) or not finite are left out.

    Args:
        module: Module whose weights are averaged.
        decay: Largest decay d, in (0, 1).
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
        """Move the average towards the weights, after step number `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._pairs, 1 - decay)

    @torch.no_grad()
    def load(self, average: Mapping[str, Tensor]) -> None:
        """Set the averages to those of an earlier run."""
        for name, value in self.average.items():
            local(value).copy_(local(average[name]))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the module the averaged weights within the block, and its own weights afterwards."""
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
