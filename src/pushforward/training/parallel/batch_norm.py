"""Batch normalisation with several processes: all use the mean and variance of the whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

from ...transforms import BatchNorm
from .processes import ProcessRanks


class SharedMoments:
    """Mean and variance of a batch that is split among processes, for the batch normalisation layers of a module.

    Args:
        whole: Module with all layers.
        ranks: The processes.
    """

    def __init__(self, whole: nn.Module, ranks: ProcessRanks) -> None:
        self.layers = [m for m in whole.modules() if isinstance(m, BatchNorm)] if ranks.several else []
        self._whole, self._own, self._counts = 1, 1, True

    @contextmanager
    def shared(self, whole: int, own: int, *, counts: bool) -> Iterator[None]:
        """Let the layers measure the whole batch within the block.

        Args:
            whole: Number of rows in the batch.
            own: Number of rows in the part of this process.
            counts: Whether these rows count; False if they only take the place of an empty part.
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
        """Return the mean and variance over all processes, as `batch_moments` does; gradients flow back to all processes."""
        # A flow inside another flow may see several events for each row.
        count = self._whole * (x.shape[0] // self._own)
        if count < 2:
            return None
        # Two passes, the mean first, lose fewer digits than the difference of E x^2 and (E x)^2.
        mean = self._total(x) / count
        return mean, self._total((x - mean).square()) / count

    def _total(self, x: Tensor) -> Tensor:
        return _Total.apply(x.sum(0) * float(self._counts))


class _Total(torch.autograd.Function):
    """Sum over all processes, with its gradient.

    The sum y = sum_r x_r goes to every process, and each process q computes a part L_q of the loss from it. So the gradient of
    the whole loss with respect to x_r is sum_q dL_q/dy: the gradients are summed over the processes, too.
    """

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
