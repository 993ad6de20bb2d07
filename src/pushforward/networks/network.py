"""Networks in a lower precision: their matrix products in bfloat16 or float16, all else as it was.

A conditioner only makes the parameters of a map. The map, its log-determinant and the base see them in the type of the
weights, so that log-probabilities keep their precision; what is lost is some of the parameters' own (8 bits of bfloat16,
11 of float16).
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..recording import Recorded


class Network(Recorded, nn.Module, abc.ABC):
    """A network of (x) or (x, context) that can compute in a lower precision; subclasses write `compute`."""

    precision: torch.dtype | None = None
    """What its matrix products are computed in; None for the type of the weights. Set by `lower_precision`, never saved."""

    @abc.abstractmethod
    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The network itself, in whatever precision surrounds it."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """`compute` in the chosen precision, the result in the type of x."""
        if self.precision is None:
            return self.compute(x, context)
        with torch.autocast(x.device.type, self.precision):
            result = self.compute(x, context)
        return result.to(x.dtype)


def networks_in(module: nn.Module) -> list[Network]:
    """Every network at or below a module that can compute in a lower precision."""
    return [part for part in module.modules() if isinstance(part, Network)]


@contextmanager
def lower_precision(module: nn.Module, dtype: torch.dtype | None) -> Iterator[None]:
    """Within, every `Network` of a module computes in `dtype`; after, as before. None changes nothing.

    Args:
        module: a model, or anything with networks inside.
        dtype: torch.bfloat16 or torch.float16, as `torch.autocast` takes them, or None.
    """
    networks = [] if dtype is None else networks_in(module)
    before = [network.precision for network in networks]
    try:
        for network in networks:
            network.precision = dtype
        yield
    finally:
        for network, precision in zip(networks, before, strict=True):
            network.precision = precision
            if precision is None:
                # Back to the class's own, so that a copy or a pickle of the network has no trace of it.
                del network.precision
