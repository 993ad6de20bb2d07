"""Local maps: they stretch or shrink space around a centre, and hardly move what is far from it.

At distance r from the centre, with s = r / a for a width a, a map of strength b > -1 gives

    r -> r (1 + b h(s)),    slope across the radius: 1 + b h(s),    slope along it: 1 + b g(s) with g = h + s h'

    rational:  h = 1 / (1 + s)                      g = 1 / (1 + s)^2
    erf:       h = (sqrt(pi) / 2) erf(s) / s        g = exp(-s^2)

(Tabak and Turner 2013, section 4; the rational one is also in Rezende and Mohamed 2015, arXiv:1505.05770, eq. 14.) Both h and g
are 1 at the centre and fall from there, so b > -1 makes the map one-to-one.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from .roots import implicit_root, newton_bisect

Profile = Literal["rational", "erf"]
"""Name of a profile h."""
SMALL = 1e-2
"""Below this s a series gives erf(s) / s."""


def profile(s: Tensor, name: Profile) -> tuple[Tensor, Tensor]:
    """Return h(s) and g(s) for s >= 0, both (...)."""
    if name == "rational":
        h = 1 / (1 + s)
        return h, h.square()
    square = s.square()
    # The branch that is not taken gets a harmless number, so that its gradient is finite.
    safe = torch.where(s < SMALL, 1.0, s)
    series = 1 - square / 3 * (1 - square * 3 / 10 * (1 - square * 5 / 21))
    return torch.where(s < SMALL, series, math.sqrt(math.pi) / 2 * torch.erf(safe) / safe), (-square).exp()


def local_root(target: Tensor, strength: Tensor, name: Profile) -> Tensor:
    """Return the s >= 0 with s (1 + b h(s)) = t: t and b (...) -> (...), with a gradient."""
    if name == "rational":
        return rational_root(target, strength)
    # The bounds follow from 0 < h <= 1.
    ends = target, target / (1 + strength)

    def residual(s: Tensor) -> tuple[Tensor, Tensor]:
        h, g = profile(s, name)
        return s * (1 + strength * h) - target, 1 + strength * g

    with torch.no_grad():
        noise = 4 * torch.finfo(target.dtype).eps * target
        s = newton_bisect(residual, torch.minimum(*ends), torch.maximum(*ends), noise)
    return implicit_root(residual, s)


def rational_root(target: Tensor, strength: Tensor) -> Tensor:
    """Return the positive root of s^2 + (1 + b - t) s - t = 0, that is of s (1 + b / (1 + s)) = t."""
    half = (target - 1 - strength) / 2
    root = torch.hypot(half, target.clamp_min(torch.finfo(target.dtype).tiny).sqrt())
    # The root is half + root, with root > |half|. For half <= 0 the equal form t / (root - half) avoids cancellation.
    return torch.where(half > 0, half + root, target / (root + half.abs()))
