"""Bridges along great circles, for flow matching on spheres."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Distribution
from .matching import Bridge
from .transport import assigned


@dataclass(frozen=True)
class Geodesic(Bridge):
    """Bridge along the great circle from x to z, with constant speed and independent pairs.

        y = x cos(t w) + e sin(t w),    u = w (e cos(t w) - x sin(t w)),    z = x cos w + e sin w,    e.x = 0

    The loss of `FlowMatching` with this bridge is that of Riemannian flow matching (Chen, Lipman 2024, arXiv:2302.03660,
    eq. 13 and 15), with the geodesic distance, for which paths are known in closed form.

    Args:
        noise: Distribution of z on the sphere, the base of the flow; its parameters are not trained by this loss.
        optimal: Whether pairs have the least total squared chord |x - z|^2 in a batch, instead of being independent.
        most: Largest number of rows that are paired together.
    """

    noise: Distribution
    optimal: bool = False
    most: int = 256

    @property
    def pairs_rows(self) -> bool:
        """Whether the noise of a row depends on the other rows of its batch."""
        return self.optimal

    @torch.no_grad()
    def drawn(self, x: Tensor) -> Tensor:
        """Return a draw of the noise for each row."""
        return self.noise._sample(len(x), None)[0].to(x)

    def pair(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the noise in the order of the data to which it is assigned."""
        return assigned(x, z, self.most) if self.optimal else z

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a point of the great circle, and the velocity there."""
        along = (x * z).sum(1, keepdim=True)
        side = z - along * x
        sine = side.norm(dim=1, keepdim=True)
        angle = torch.atan2(sine, along)
        e = side / sine.clamp_min(torch.finfo(x.dtype).tiny)
        cos, sin = torch.cos(t * angle), torch.sin(t * angle)
        return cos * x + sin * e, angle * (cos * e - sin * x)
