"""From bounded events to the line and back.

For x in (low, high): z = logit((x - low) / (high - low)), log dz/dx = -log u - log(1 - u) - log(high - low). For a half-line,
z is the inverse softplus of the distance y to its end: z = y + log(1 - exp(-y)), log dz/dy = -log(1 - exp(-y)).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Box, Real, Transform
from ..functional.bounds import sum_events


class Logit(Transform):
    """A box or half-line onto the line. Values on the boundary are moved inside by the dtype's resolution.

    Args:
        space: the box; at least one bound is finite.
    """

    def __init__(self, space: Box) -> None:
        super().__init__()
        self.x_space, self.z_space = space, Real(space.shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape) in the box -> (B, *shape) real, (B,)."""
        low, high = self.x_space.low, self.x_space.high  # type: ignore[attr-defined]
        tiny = torch.finfo(x.dtype).eps
        if math.isfinite(low) and math.isfinite(high):
            u = ((x - low) / (high - low)).clamp(tiny, 1 - tiny)
            log_u, log_rest = u.log(), torch.log1p(-u)
            return log_u - log_rest, -sum_events(log_u + log_rest) - self.x_space.size * math.log(high - low)
        y = (x - low if math.isfinite(low) else high - x).clamp_min(tiny)
        log_rest = torch.log(-torch.expm1(-y))
        z = y + log_rest
        return z if math.isfinite(low) else -z, -sum_events(log_rest)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, *shape) real -> (B, *shape) in the box, (B,)."""
        low, high = self.x_space.low, self.x_space.high  # type: ignore[attr-defined]
        if math.isfinite(low) and math.isfinite(high):
            dlogp = sum_events(F.logsigmoid(z) + F.logsigmoid(-z)) + self.x_space.size * math.log(high - low)
            return low + (high - low) * z.sigmoid(), dlogp
        if math.isfinite(low):
            return low + F.softplus(z), sum_events(F.logsigmoid(z))
        return high - F.softplus(-z), sum_events(F.logsigmoid(-z))
