"""Bijection between the half-line and the line that maps the half-normal distribution to the normal one.

    Phi(z) = 2 Phi(y) - 1 for y > 0,    log dz/dy = log 2 + (z^2 - y^2) / 2 = log 2 - (y - z) (y + z) / 2

Before a normal base a density that is positive at y = 0 stays possible; behind a logarithm it would be zero there. For large y
the difference y - z tends to log 2 / y, so the map is nearly the identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from .bounds import softplus_inverse, softplus_slope

FAR = 8.0
"""Beyond this value the tail probability is expanded, because its logarithm is needed where it underflows."""
MIDDLE = 1.0
"""Below this value of y the probability is computed from zero, and above from one."""


def half_normal_to_normal(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return z with Phi(z) = 2 Phi(y) - 1 and log dz/dy; y >= 0, and zero is moved to the smallest normal number."""
    y = y.clamp_min(torch.finfo(y.dtype).tiny)
    near = torch.special.ndtri(torch.erf(y.clamp_max(MIDDLE) / math.sqrt(2)))
    between = -torch.special.ndtri(torch.erfc(y.clamp(MIDDLE, FAR) / math.sqrt(2)))
    far = y.clamp_min(FAR)
    gap = _gap(far, outwards=False)
    difference = torch.where(y > FAR, gap, y - torch.where(y > MIDDLE, between, near))
    z = y - difference
    return z, math.log(2) - difference * (y + z) / 2


def normal_to_half_normal(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return y > 0 with 2 Phi(y) - 1 = Phi(z) and log dy/dz, the inverse of `half_normal_to_normal`."""
    start = FAR - float(_gap(torch.tensor(FAR, dtype=torch.float64), outwards=False))
    # `erfc` is accurate where its value is small; `ndtr` is not.
    near = math.sqrt(2) * torch.erfinv(torch.erfc(-z.clamp_max(0.0) / math.sqrt(2)) / 2)
    between = -torch.special.ndtri(torch.erfc(z.clamp(0.0, start) / math.sqrt(2)) / 4)
    gap = _gap(z.clamp_min(start), outwards=True)
    y = torch.where(z > start, z + gap, torch.where(z > 0, between, near)).clamp_min(torch.finfo(z.dtype).tiny)
    difference = torch.where(z > start, gap, y - z)
    return y, difference * (y + z) / 2 - math.log(2)


def _gap(v: Tensor, *, outwards: bool) -> Tensor:
    """Return d > 0 with Q(y - d) = 2 Q(y), for v = y, or v = y - d if `outwards`, by Newton's method.

    With the expansion log Q(x) = -x^2 / 2 - log x + log(1 - 1/x^2 + 3/x^4 - 15/x^6) - log(2 pi) / 2 the equation is
    y d - d^2 / 2 - log(1 - d / y) + (difference of the last terms) = log 2.
    """

    def series(x: Tensor) -> Tensor:
        w = x.square().reciprocal()
        return torch.log1p(-w * (1 - w * (3 - 15 * w)))

    d = math.log(2) / v
    for _ in range(4):
        y = v + d if outwards else v
        z = y - d
        value = d * (y + z) / 2 - torch.log1p(-d / y) + series(z) - series(y)
        # d/dx of -log Q(x) is about x + 1 / x: that of z if y is given, that of y if z is.
        slope = (y + y.reciprocal()) if outwards else (z + z.reciprocal())
        d = d - (value - math.log(2)) / slope
    return d


Gaps = Literal["normal", "softplus"]
"""Name of a map g from the half-line to the line."""
GAPS: dict[str, tuple[Callable[[Tensor], tuple[Tensor, Tensor]], Callable[[Tensor], tuple[Tensor, Tensor]]]] = {
    "normal": (half_normal_to_normal, normal_to_half_normal),
    "softplus": (softplus_inverse, softplus_slope),
}
"""Maps of each name, and their inverses; each returns the image and the log-slope."""
