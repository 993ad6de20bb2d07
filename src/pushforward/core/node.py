"""Node: what layers and distributions share."""

from __future__ import annotations

import abc
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..recording import Recorded
from .exactness import Exactness
from .space import Space


class Node(Recorded, nn.Module, abc.ABC):
    """What a layer and a distribution share: the context they need, their exactness, their dtype and device."""

    own: Exactness = Exactness.EXACT
    """What this class itself contributes to `exactness`."""
    context: Space | None = None
    """The space of the context that it needs; None when it takes none."""

    @property
    def parts(self) -> Iterator[Node]:
        """The nodes directly below this one, through containers and plain modules."""

        def below(module: nn.Module) -> Iterator[Node]:
            for child in module.children():
                if isinstance(child, Node):
                    yield child
                else:
                    yield from below(child)

        return below(self)

    @property
    def exactness(self) -> Exactness:
        """Its own exactness and that of every part, nested encoders, decoders and bases included."""
        total = self.own
        for part in self.parts:
            total |= part.exactness
        return total

    @property
    def _anchor(self) -> Tensor | None:
        parameter = _first_floating(self, "_parameters")
        return _first_floating(self, "_buffers") if parameter is None else parameter

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the parameters; the default type when there are none."""
        return torch.get_default_dtype() if (anchor := self._anchor) is None else anchor.dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU when there are none."""
        anchor = self._anchor
        return torch.device("cpu") if anchor is None else anchor.device

    @property
    def has_start(self) -> bool:
        """Whether this node has data-dependent starting values of its own, beside those of its parts."""
        return type(self).init_from is not Node.init_from

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set data-dependent starting values from one flat batch; most nodes have none."""


def _first_floating(module: nn.Module, kind: str) -> Tensor | None:
    """The first floating-point parameter or buffer; what `parameters()` would give, without making its names."""
    for tensor in getattr(module, kind).values():
        if tensor is not None and tensor.is_floating_point():
            return tensor
    for child in module._modules.values():
        found = None if child is None else _first_floating(child, kind)
        if found is not None:
            return found
    return None
