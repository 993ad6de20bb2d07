"""Statistics of batch normalisation, measured on all training rows instead of running averages.

Papamakarios et al. 2017, arXiv:1705.07057, section 3.4: in training a layer uses the moments of a batch, and at test time those
of the whole training set. The moments of a layer depend on the layers before it, so they are measured one after the other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Distribution
from ..transforms import BatchNorm
from .data import Rows, as_rows, chunks
from .evaluate import evaluating


def measure_batch_norm(model: Distribution, x: object, context: object = None, batch_size: int = 4096) -> int:
    """Set the averages of every `BatchNorm` to the mean and variance of its inputs for all given rows.

    Args:
        model: Any distribution.
        x: Events, (N, *event), usually the training rows.
        context: Contexts, (N, *context), or None for models without one.
        batch_size: Number of rows that are computed together.

    Returns:
        Number of layers whose averages were set; layers that the log-density does not use keep theirs.

    Raises:
        DataError: The rows are not finite numbers, or have the wrong shape.
        ContextError: A context is missing or unexpected.
    """
    if not any(isinstance(part, BatchNorm) for part in model.modules()):
        return 0
    rows = as_rows(model, x, context, "the data")
    order = _in_order(model, rows)
    for layer in order:
        moments = _Moments()
        handle = layer.register_forward_pre_hook(moments)
        try:
            with evaluating(model):
                for piece in chunks(torch.arange(len(rows), device=rows.x.device), max(1, batch_size)):
                    model(*rows.take(piece))
        finally:
            handle.remove()
        mean, variance = moments.result()
        if bool(mean.isfinite().all() and variance.isfinite().all()):
            layer.set_moments(mean, variance)
    return len(order)


def _in_order(model: Distribution, rows: Rows) -> list[BatchNorm]:
    """Return the layers in the order in which the log-density first uses them."""
    order: list[BatchNorm] = []

    def seen(layer: nn.Module, _: object) -> None:
        if isinstance(layer, BatchNorm) and layer not in order:
            order.append(layer)

    handles = [part.register_forward_pre_hook(seen) for part in model.modules() if isinstance(part, BatchNorm)]
    try:
        with evaluating(model):
            model(*rows.take(torch.arange(min(2, len(rows)), device=rows.x.device)))
    finally:
        for handle in handles:
            handle.remove()
    return order


class _Moments:
    """Hook that adds up the mean and the sum of squared deviations of the inputs of a layer, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = layer.rows_of(inputs[0]).double()  # type: ignore[operator]
        count, mean = len(values), values.mean(0)
        # Chan's rule joins two groups: the squares add up, and the difference of the means adds its share.
        whole = self.count + count
        apart = mean - self.mean
        self.squares = self.squares + (values - mean).square().sum(0) + apart.square() * (self.count * count / whole)
        self.mean = self.mean + apart * (count / whole)
        self.count = whole

    def result(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the variance."""
        return torch.as_tensor(self.mean), torch.as_tensor(self.squares) / self.count
