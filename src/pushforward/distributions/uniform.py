"""Uniform distributions on curved spaces."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core import Distribution, Sphere, Torus


class _Even(Distribution):
    """Base class of uniform distributions.

    Args:
        space: Bounded space whose `random` draws uniform points.
        log_volume: Natural logarithm of its volume.
    """

    zero: Tensor

    def __init__(self, space: Sphere | Torus, log_volume: float) -> None:
        super().__init__()
        self.space, self.log_volume = space, log_volume
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return (0 * x).sum(1) - self.log_volume

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.space.random(n, self.zero.dtype).to(self.zero.device)
        return x, self._log_prob(x, context)


class UniformSphere(_Even):
    """Uniform distribution on a sphere: log p = -log(2 pi^(n/2) / Gamma(n/2)).

    Args:
        space: Sphere of vectors in n dimensions.
    """

    def __init__(self, space: Sphere) -> None:
        super().__init__(space, math.log(space.area))


class UniformTorus(_Even):
    """Uniform distribution of D independent angles on a torus: log p = -D log(2 pi).

    Args:
        space: Torus or circle.
    """

    def __init__(self, space: Torus) -> None:
        super().__init__(space, space.size * math.log(2 * math.pi))
