"""Contractions whose layers see the outputs of all layers before them (i-DenseNet).

    h_0 = x,    h_(l+1) = [a_l h_l, b_l phi(W_l h_l)] with a_l^2 + b_l^2 = 1,    g(x) = W h_L

If |W_l| <= 1 and phi has the constant one, so has each concatenation, because |a u|^2 + |b v|^2 <= (a^2 + b^2) |h - h'|^2. The
activation phi is CLipSwish, which keeps both signs of its input (Perugachi-Diaz, Tomczak, Bhulai 2021, arXiv:2102.02694).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .lipschitz import Contraction, Linear, Spectral, SpectralConv, SpectralLinear, check_coefficient

BOTH_SIGNS = 1.004
"""Upper bound of the norm of the slopes (phi'(x), -phi'(-x)) of LipSwish at x and -x."""


class LipschitzDenseNet(Contraction):
    """Dense contraction of vectors or pictures, with the share of each concatenation learned.

    Args:
        shape: Shape of an event, (D,) for vectors or (C, H, W) for pictures, whose layers are convolutions of 3 x 3.
        hidden: Growth of each layer: layer l adds 2 hidden[l] units or channels to those before it.
        coefficient: Lipschitz constant in x, in (0, 1).
        context: Length of the context c, 0 for none; it enters at the first layer, without a bound.

    Raises:
        SpecError: The constant is not in (0, 1), or there is no hidden layer.
    """

    def __init__(self, shape: Sequence[int], *, hidden: Sequence[int], coefficient: float, context: int = 0) -> None:
        check_coefficient(coefficient, hidden)
        start, *size = shape

        def spectral(inputs: int, outputs: int, norm: float, given: int) -> Spectral:
            if not size:
                return SpectralLinear(inputs, outputs, norm, given)
            return SpectralConv(inputs, outputs, (size[0], size[1]), 3, norm, given)

        layers: list[Spectral] = []
        width = start
        for growth in hidden:
            layers.append(spectral(width, growth, 1.0, 0 if layers else context))
            width += 2 * growth
        super().__init__([*layers, spectral(width, start, coefficient, 0)])
        self.dim = -len(shape)
        self.shares = nn.Parameter(torch.zeros(len(layers), 2))

    def linearised(
        self, x: Tensor, context: Tensor | None = None, weights: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Linear, Linear]:
        """Return g(x, c), and the functions v -> J v and v -> J^T v of its Jacobian at x, for v (..., B, *E)."""
        weights = self.weights() if weights is None else weights
        *inner, last = self.layers
        shares = F.normalize(F.softplus(self.shares), dim=1)
        slopes: list[tuple[Tensor, Tensor]] = []
        for layer, weight, act, (a, b) in zip(inner, weights, self.activations, shares, strict=False):
            raw = layer.push(weight, x) + layer.shift(context)
            (up, slope_up), (down, slope_down) = act(raw), act(-raw)
            slopes.append((b / BOTH_SIGNS * slope_up, -b / BOTH_SIGNS * slope_down))
            x = torch.cat([a * x, b / BOTH_SIGNS * up, b / BOTH_SIGNS * down], self.dim)
        value = last.push(weights[-1], x) + last.shift(context)

        def push(v: Tensor) -> Tensor:
            for layer, weight, (a, _), (up, down) in zip(inner, weights, shares, slopes, strict=False):
                u = layer.push(weight, v)
                v = torch.cat([a * v, up * u, down * u], self.dim)
            return last.push(weights[-1], v)

        def pull(v: Tensor) -> Tensor:
            v = last.pull(weights[-1], v)
            for i in reversed(range(len(inner))):
                up, down = slopes[i]
                growth = up.shape[self.dim]
                rest, u, w = v.split((v.shape[self.dim] - 2 * growth, growth, growth), self.dim)
                v = shares[i, 0] * rest + inner[i].pull(weights[i], up * u + down * w)
            return v

        return value, push, pull
