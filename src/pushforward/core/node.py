"""Node, the common base class of layers and distributions."""

from __future__ import annotations

import abc
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..recording import Recorded
from .exactness import Exactness
from .space import Space


class Node(Recorded, nn.Module, abc.ABC):
    """Common base of layers and distributions: their context space, exactness, dtype and device."""

    own: Exactness = Exactness.EXACT
    """Contribution of this class itself to `exactness`."""
    context: Space | None = None
    """Space of the context; None if the node takes no context."""

    start_rows: int = 0
    """Number of rows that a start from data needs to be precise; 0 where any batch will do."""

    @property
    def parts(self) -> Iterator[Node]:
        """The nodes directly below this one, also those inside containers and plain modules."""

        def below(module: nn.Module) -> Iterator[Node]:
            for child in module.children():
                if isinstance(child, Node):
                    yield child
                else:
                    yield from below(child)

        return below(self)

    @property
    def exactness(self) -> Exactness:
        """Exactness of this node combined with that of every part: encoders, decoders and bases included."""
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
        """Floating-point dtype of the parameters, or of the buffers; torch's default dtype when there are none."""
        return torch.get_default_dtype() if (anchor := self._anchor) is None else anchor.dtype

    @property
    def device(self) -> torch.device:
        """Device of the parameters, or of the buffers; the CPU when there are none."""
        anchor = self._anchor
        return torch.device("cpu") if anchor is None else anchor.device

    @property
    def has_start(self) -> bool:
        """Whether this node itself, apart from its parts, has data-dependent starting values."""
        return type(self).init_from is not Node.init_from

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set data-dependent starting values from one flat batch; by default there are none."""


def _first_floating(module: nn.Module, kind: str) -> Tensor | None:
    """Return the first floating-point parameter or buffer, without building the names as `parameters()` does."""
    for tensor in getattr(module, kind).values():
        if tensor is not None and tensor.is_floating_point():
            return tensor
    for child in module._modules.values():
        found = None if child is None else _first_floating(child, kind)
        if found is not None:
            return found
    return None
