"""Triangular affine layer that may depend on a context; with a normal base it represents every Gaussian.

z = m + L x,    L = diag(s) + N,    dlogp = sum_i log s_i,    s > 0, N strictly lower triangular

With a context, L = diag(s) (I + N / sqrt D), another parameterisation of the same matrices: each row is multiplied by its
scale, and all entries of N together have the weight of one diagonal entry. This keeps the first steps of a learned encoder
stable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core import Real, Transform, context_space
from ..networks import Parameters
from .planar_layers import vectors


class Cholesky(Transform):
    """Triangular affine layer z = m + L x; it starts as the identity.

    Args:
        space: Space of x and z, of shape (D,).
        context: Length of the context from which m and L are computed; 0 for none.
        hidden: Widths of the hidden layers of the network that computes m and L; an empty tuple gives a linear map.
        activation: Activation function of that network.

    Raises:
        SpecError: Events are not vectors.
    """

    def __init__(self, space: Real, *, context: int = 0, hidden: Sequence[int] = (), activation: str = "relu") -> None:
        super().__init__()
        size = vectors(space)
        self.x_space = self.z_space = space
        self.context = context_space(context)
        self.parameters_of = Parameters(torch.zeros(size, size + 1), context, hidden, activation)

    def _made(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return m (B, D), L (B, D, D) and the logs of its diagonal (B, D)."""
        made = self.parameters_of(context)
        m, free = made[..., 0], made[..., 1:]
        logs = free.diagonal(dim1=-2, dim2=-1)
        scale = logs.exp()
        below = free.tril(-1)
        if self.context is not None:
            below = below * (scale.unsqueeze(-1) / math.sqrt(logs.shape[-1]))
        return m, below + torch.diag_embed(scale), logs

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, D) -> (B, D), (B,) in nats."""
        m, factor, logs = self._made(context)
        return m + torch.matmul(factor, x.unsqueeze(-1)).squeeze(-1), logs.sum(-1).expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, from the solution of a triangular system: (B, D) -> (B, D), (B,) in nats."""
        m, factor, logs = self._made(context)
        x = torch.linalg.solve_triangular(factor.expand(z.shape[0], -1, -1), (z - m).unsqueeze(-1), upper=False)
        return x.squeeze(-1), -logs.sum(-1).expand(z.shape[0])
