"""Triangular affine layer that may depend on a context; with a normal base it represents every Gaussian.

z = m + L x,    L = diag(s) + N,    dlogp = sum_i log s_i,    s > 0, N strictly lower triangular

With a context, L = diag(s) (I + N / sqrt D), another parameterisation of the same matrices: each row is multiplied by its
scale, and all entries of N together have the weight of one diagonal entry. This keeps the first steps of a learned encoder
stable.

`Correlation` is the same with m = 0 and rows of L of length one, so that z has unit variances if x is standard normal.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core import Real, Transform, context_space
from ..networks import Parameters
from .planar_layers import vectors


class _Triangular(Transform):
    """Base class of triangular affine layers z = m + L x, which start as the identity.

    Args:
        space: Space of x and z, of shape (D,).
        context: Length of the context from which the parameters are computed; 0 for none.
        hidden: Widths of the hidden layers of the network that computes them; an empty tuple gives a linear map.
        activation: Activation function of that network.

    Raises:
        SpecError: Events are not vectors.
    """

    extra = 0
    """Number of parameters of each coordinate besides a row of D for the matrix."""

    def __init__(self, space: Real, *, context: int = 0, hidden: Sequence[int] = (), activation: str = "relu") -> None:
        super().__init__()
        size = vectors(space)
        self.x_space = self.z_space = space
        self.context = context_space(context)
        self.parameters_of = Parameters(torch.zeros(size, size + self.extra), context, hidden, activation)

    @abc.abstractmethod
    def _made(self, context: Tensor | None) -> tuple[Tensor | float, Tensor, Tensor]:
        """Return m (B, D), L (B, D, D) and the logs of its diagonal (B, D)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, D) -> (B, D), (B,) in nats."""
        m, factor, logs = self._made(context)
        return m + torch.matmul(factor, x.unsqueeze(-1)).squeeze(-1), logs.sum(-1).expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, from the solution of a triangular system: (B, D) -> (B, D), (B,) in nats."""
        m, factor, logs = self._made(context)
        x = torch.linalg.solve_triangular(factor.expand(z.shape[0], -1, -1), (z - m).unsqueeze(-1), upper=False)
        return x.squeeze(-1), -logs.sum(-1).expand(z.shape[0])


class Cholesky(_Triangular):
    """Triangular affine layer z = m + L x; it starts as the identity.

    Args:
        space: Space of x and z, of shape (D,).
        context: Length of the context from which m and L are computed; 0 for none.
        hidden: Widths of the hidden layers of the network that computes m and L; an empty tuple gives a linear map.
        activation: Activation function of that network.

    Raises:
        SpecError: Events are not vectors.
    """

    extra = 1

    def _made(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        made = self.parameters_of(context)
        m, free = made[..., 0], made[..., 1:]
        logs = free.diagonal(dim1=-2, dim2=-1)
        scale = logs.exp()
        below = free.tril(-1)
        if self.context is not None:
            below = below * (scale.unsqueeze(-1) / math.sqrt(logs.shape[-1]))
        return m, below + torch.diag_embed(scale), logs


class Correlation(_Triangular):
    """Map z = L x with L L^T a correlation matrix: with a normal base, the Gaussian copula on the scale of normal scores.

        L_i = (N_i + e_i) / |N_i + e_i|,    N strictly lower triangular

    Every correlation matrix of full rank has such a root.

    Args:
        space: Space of x and z, of shape (D,).
        context: Length of the context from which N is computed; 0 for none.
        hidden: Widths of the hidden layers of the network that computes N; an empty tuple gives a linear map.
        activation: Activation function of that network.

    Raises:
        SpecError: Events are not vectors.
    """

    def _made(self, context: Tensor | None) -> tuple[float, Tensor, Tensor]:
        below = self.parameters_of(context).tril(-1)
        if self.context is not None:
            below = below / math.sqrt(below.shape[-1])
        logs = -0.5 * torch.log1p(below.square().sum(-1))
        unit = torch.eye(below.shape[-1], dtype=below.dtype, device=below.device)
        return 0.0, (below + unit) * logs.exp().unsqueeze(-1), logs
