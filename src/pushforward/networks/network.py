"""Networks in lower precision: matrix products in bfloat16 or float16, everything else in full precision.

A conditioner only computes the parameters of a map. The map, its log-determinant and the base use the dtype of the weights, so
log-probabilities keep their precision; only the parameters are rounded (8 bits of bfloat16, 11 bits of float16).
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..recording import Recorded


class Network(Recorded, nn.Module, abc.ABC):
    """Base class of networks of (x) or (x, context) that can compute in lower precision; subclasses implement `compute`."""

    precision: torch.dtype | None = None
    """Dtype of matrix products; None for the dtype of the weights. Set by `lower_precision`, and never saved."""

    @abc.abstractmethod
    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result of the network, in the precision that autocast sets."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return `compute` in the chosen precision, converted to the dtype of x."""
        if self.precision is None:
            return self.compute(x, context)
        with torch.autocast(x.device.type, self.precision):
            result = self.compute(x, context)
        return result.to(x.dtype)


def networks_in(module: nn.Module) -> list[Network]:
    """Return every `Network` among a module and its parts."""
    return [part for part in module.modules() if isinstance(part, Network)]


@contextmanager
def lower_precision(module: nn.Module, dtype: torch.dtype | None) -> Iterator[None]:
    """Let every `Network` of a module compute in `dtype` inside a `with` block, and restore it afterwards.

    Args:
        module: Model, or any module that contains networks.
        dtype: Lower precision, torch.bfloat16 or torch.float16; None changes nothing.
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
                # Delete the instance attribute, so that copies and pickles of the network do not contain it.
                del network.precision
