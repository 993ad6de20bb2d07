"""Moebius flow: maps of a sphere onto itself, towards and away from points (Rezende et al. 2020, arXiv:2002.02428, 2.3.1)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pushforward.core import Chain, Flow, Sphere, Transform
from pushforward.distributions import UniformSphere
from pushforward.systems.curved_spec import CurvedSpec


class Moebius(Transform):
    """Moebius map of a sphere in n dimensions with a centre w, |w| < 1.

        z = (1 - |w|^2) / |x - w|^2 (x - w) - w,    dlogp = (n - 1) log((1 - |w|^2) / |x - w|^2)

    Args:
        space: The sphere.
    """

    def __init__(self, space: Sphere) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        self.free = nn.Parameter(0.1 * torch.randn(space.size))

    @property
    def centre(self) -> Tensor:
        """The centre w, shorter than .9."""
        return 0.9 * self.free / (1 + self.free.norm())

    def _map(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        ratio = (1 - w.square().sum()) / (x - w).square().sum(1)
        return ratio[:, None] * (x - w) - w, self.x_space.dim * ratio.log()

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp."""
        return self._map(x, self.centre)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and its dlogp: the inverse is the map with the centre -w."""
        return self._map(z, -self.centre)


@dataclass(frozen=True, kw_only=True)
class MoebiusFlow(CurvedSpec):
    """Moebius maps one after the other, on a uniform base.

    Args:
        layers: Number of maps.
    """

    name = "moebius"
    family = "spheres"
    paper = "Rezende, Papamakarios, Racaniere et al. 2020, arXiv:2002.02428"
    sizes = ("features",)

    layers: int = 6

    @property
    def space(self) -> Sphere:
        """The sphere of unit vectors of this length."""
        return Sphere((self.features,))

    def build(self) -> Flow:
        """Return the flow, with maps close to the identity."""
        return Flow(Chain(*(Moebius(self.space) for _ in range(self.layers))), UniformSphere(self.space))

    @classmethod
    def cases(cls) -> Iterator["MoebiusFlow"]:
        """Yield the ordinary sphere."""
        yield cls(features=3, layers=2)
