"""Adapter that lets the laws check flows of other libraries: four short methods and the distribution built from them.

from pushforward.laws import AdaptedFlow, Adapter, check

class Theirs(Adapter):
    def log_prob(self, x, c=None): return self.module(c).log_prob(x)
    def sample(self, n, c=None): return self.module(c).sample((n,))
    def to_latent(self, x, c=None): return self.module(c).transform.call_and_ladj(x)
    def to_data(self, z, c=None): return self.module(c).transform.inv.call_and_ladj(z)

check(lambda: AdaptedFlow(Theirs(zuko.flows.NSF(2), (2,))))
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core import Distribution, Real, Transform
from ..core.space import context_space


class Adapter(nn.Module, abc.ABC):
    """Common interface to the flows of all libraries, which have different directions and names.

    An adapter only calls the library. It does not check, convert or repair values, so the laws test the library itself.

    Args:
        module: The library's own flow.
        shape: Shape of one event; (D,) for vectors.
        context: Length C of the context, 0 for none.
    """

    def __init__(self, module: nn.Module, shape: Sequence[int], context: int = 0) -> None:
        super().__init__()
        self.module, self.shape, self.context = module, tuple(shape), context

    @property
    def features(self) -> int:
        """Number of entries of one event."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point dtype of the parameters."""
        return next(self.module.parameters()).dtype

    @abc.abstractmethod
    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return log p(x | c) in nats: x (*batch, *shape), c (*batch, C) or None -> (*batch,)."""

    @abc.abstractmethod
    def sample(self, n: int, c: Tensor | None = None) -> Tensor:
        """Return n draws (n, *shape) for one context (C,) or None."""

    @abc.abstractmethod
    def to_latent(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and log |det dz/dx|: x (B, *shape), c (B, C) or None -> (B, *shape), (B,)."""

    @abc.abstractmethod
    def to_data(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return x and log |det dx/dz|, None if the library has no such function: (B, *shape) -> (B, *shape), (B,)."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return `log_prob`."""
        return self.log_prob(x, c)


class AdaptedLayer(Transform):
    """Layer with the map of an adapted flow.

    Args:
        adapter: Flow of another library.
    """

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.adapter = adapter
        self.x_space = self.z_space = Real(adapter.shape)
        self.context = context_space(adapter.context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and log |det dz/dx|: (B, *shape) -> (B, *shape), (B,)."""
        return self.adapter.to_latent(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and log |det dx/dz|: (B, *shape) -> (B, *shape), (B,)."""
        x, log_det = self.adapter.to_data(z, context)
        return x, -self.adapter.to_latent(x, context)[1] if log_det is None else log_det


class AdaptedFlow(Distribution):
    """Flow of another library as a distribution of this library, on which the laws can be checked.

    Args:
        adapter: Flow of another library.
    """

    differentiable_draws = False

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.space = Real(adapter.shape)
        self.context = context_space(adapter.context)
        self.layer = AdaptedLayer(adapter)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self.layer.adapter.log_prob(x, context)

    @torch.no_grad()
    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        adapter = self.layer.adapter
        if context is None:
            x = adapter.sample(n)
        elif n:
            x = torch.cat([adapter.sample(1, row) for row in context])
        else:
            x = context.new_empty(0, *adapter.shape)
        return x, adapter.log_prob(x, context)
