"""Batch normalisation among several processes: the mean and variance of the whole batch, in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

from ...transforms import BatchNorm
from .processes import ProcessRanks


class SharedMoments:
    """Mean and variance of a batch that several processes share, for the batch normalisations of a module.

    Args:
        whole: Module with all layers.
        ranks: The processes.
    """

    def __init__(self, whole: nn.Module, ranks: ProcessRanks) -> None:
        self.layers = [m for m in whole.modules() if isinstance(m, BatchNorm)] if ranks.several else []
        self._whole, self._own, self._counts = 1, 1, True

    @contextmanager
    def shared(self, whole: int, own: int, *, counts: bool) -> Iterator[None]:
        """Within, the layers measure the whole batch.

        Args:
            whole: Number of rows in the batch.
            own: Number of rows in the part of this process.
            counts: Whether these rows count; False if they only stand in for an empty part.
        """
        if not self.layers:
            yield
            return
        self._whole, self._own, self._counts = whole, own, counts
        for layer in self.layers:
            layer.moments = self
        try:
            yield
        finally:
            for layer in self.layers:
                del layer.moments

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the mean and variance over all processes, as `batch_moments` does; gradients flow back to all of them."""
        # A flow inside of another may see several events for each row.
        count = self._whole * (x.shape[0] // self._own)
        if count < 2:
            return None
        mean = self._total(x) / count
        return mean, self._total((x - mean).square()) / count

    def _total(self, x: Tensor) -> Tensor:
        return _Total.apply(x.sum(0) * float(self._counts))


class _Total(torch.autograd.Function):
    """Sum over all processes. Each process adds to all results, so the cotangents are summed too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.clone()
        distributed.all_reduce(grad)
        return grad
