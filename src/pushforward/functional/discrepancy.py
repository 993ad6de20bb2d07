"""Maximum mean discrepancy of two samples, with inverse multiquadric kernels (Gretton et al. 2012; Tolstikhin et al. 2018).

    MMD^2(P, Q) = E k(a, a') + E k(b, b') - 2 E k(a, b),    a, a' ~ P,  b, b' ~ Q

It is zero only for P = Q. The tails of the kernels are heavy, so samples that are far apart still have a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WIDTHS = ((0.05**2, 1.0), (0.2**2, 1.0), (0.9**2, 1.0))
"""Squared widths and powers of the kernels by default: widths .05, .2 and .9."""
FORWARD = ((0.2, 2.0), (1.5, 2.0), (3.0, 2.0))
"""Squared widths and powers for standardised outputs and latent variables (Ardizzone et al. 2019)."""
BACKWARD = ((0.2, 0.1), (0.2, 0.5), (0.2, 2.0))
"""Squared widths and powers for standardised inputs (Ardizzone et al. 2019)."""

Kernels = Sequence[tuple[float, float]]
"""Pairs (C, a) of kernels (1 + |x - y|^2 / C)^-a, which are summed."""


def multiquadric(x: Tensor, y: Tensor, kernels: Kernels = WIDTHS) -> Tensor:
    """Return sum_(C, a) (1 + |x_i - y_j|^2 / C)^-a of all pairs: (N, D), (M, D) -> (N, M).

    With a = 1 and C = h^2 a term is h^2 / (h^2 + |x - y|^2).
    """
    # |x - y|^2 = |x|^2 + |y|^2 - 2 x y; differences of rows would need N M D numbers. Rounding may leave it below zero.
    middle = x.detach().mean(0)
    x, y = x - middle, y - middle
    squares = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.mT
    squares = squares.clamp_min(0.0)
    return torch.stack([(1 + squares / scale).pow(-power) for scale, power in kernels]).sum(0)


def discrepancy(x: Tensor, y: Tensor, kernels: Kernels = WIDTHS) -> Tensor:
    """Return the squared maximum mean discrepancy of two samples, a scalar >= 0, with the terms i = j (biased upwards).

    Args:
        x: Sample (N, D).
        y: Sample (M, D).
        kernels: Pairs (C, a) of kernels that are summed.
    """
    within = multiquadric(x, x, kernels).mean() + multiquadric(y, y, kernels).mean()
    return within - 2 * multiquadric(x, y, kernels).mean()
