"""Cylinder: unit vectors as an angle and heights.

The sphere S^d of vectors in k = d + 1 dimensions is cut into spheres S^(d-1) of all heights r in [-1, 1],

    x = (sqrt(1 - r^2) y, r),    y on S^(d-1),    area: dx = (1 - r^2)^(d/2 - 1) dr dy

(Rezende et al. 2020, arXiv:2002.02428, section 2.2). Repeated down to the circle, this gives an angle and n - 2 heights. For
n = 3 the factor is 1: the map from the sphere to the cylinder keeps areas (Archimedes).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..core import Box, Circle, Sphere, Transform, product_of
from ..functional.turning import wrapped


class Cylinder(Transform):
    """Layer from unit vectors x in n dimensions to an angle in [0, 2 pi) and n - 2 heights in [-1, 1].

    With q_k = x_1^2 + ... + x_k^2 the angle is that of (x_1, x_2), the heights are r_k = x_k / sqrt(q_k) for k = 3 ... n, and

        dlogp = -sum_k (k - 3) / 2 log(1 - r_k^2),    1 - r_k^2 = q_(k-1) / q_k.

    At a pole, where all other coordinates are zero, the angle is not defined, and 0 is returned.

    Args:
        space: Sphere of vectors in n dimensions.
    """

    # The layer is not undone to save memory: near the poles an inverse loses digits, and with them the gradients.

    def __init__(self, space: Sphere) -> None:
        super().__init__()
        self.x_space = space
        self.z_space = product_of([Circle(), Box((space.size - 2,), -1.0, 1.0)] if space.size > 2 else [Circle()])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the angle and the heights (B, n - 1), and dlogp (B,)."""
        # The squares below `tiny` are zero, and their logarithms would be infinite.
        squares = x.square().cumsum(1).clamp_min(torch.finfo(x.dtype).tiny)
        at_pole = (x[:, 0] == 0) & (x[:, 1] == 0)
        angle = wrapped(torch.atan2(x[:, 1], torch.where(at_pole, 1.0, x[:, 0])))
        heights = (x[:, 2:] * squares[:, 2:].rsqrt()).clamp(-1, 1)
        logs = squares.log()
        return torch.cat([angle[:, None], heights], 1), -self._half_powers(x) @ (logs[:, 1:-1] - logs[:, 2:]).mT

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the unit vectors (B, n), and dlogp (B,)."""
        heights = z[:, 1:]
        widths = ((1 - heights) * (1 + heights)).clamp_min(torch.finfo(z.dtype).tiny)
        roots = widths.sqrt()
        x = torch.stack([z[:, 0].cos(), z[:, 0].sin()], 1)
        for k in range(heights.shape[1]):
            x = torch.cat([x * roots[:, k : k + 1], heights[:, k : k + 1]], 1)
        return self.x_space.nearest(x), self._half_powers(z) @ widths.log().mT

    def _half_powers(self, like: Tensor) -> Tensor:
        """Return the exponents (k - 3) / 2 for k = 3 ... n, (n - 2,)."""
        return torch.arange(self.x_space.size - 2, dtype=like.dtype, device=like.device) / 2
