"""Sylvester layers: M planar layers at once, along orthonormal directions.

    z = x + Q R tanh(S Q^T x + b),    dlogp = sum_i log(1 + r_ii s_ii tanh'(...)_i)

with Q (D, M) with orthonormal columns, R and S (M, M) upper triangular, r_ii s_ii > -1 (van den Berg, Hasenclever, Tomczak,
Welling 2018, arXiv:1803.05649, eq. 14, 16 to 19). The part of x outside the span of Q does not change. Inside it, t = Q^T x and
v = Q^T z satisfy v = t + R tanh(S t + b). This is solved from the last entry to the first: when all later entries are known,
a = s_ii t_i + ... is the root of a + r_ii s_ii tanh a = s_ii (v_i - ...) + ....
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ..core import Real, Transform, context_space
from ..errors import SpecError
from ..functional.reflections import reflected
from ..functional.roots import tanh_root
from ..networks import Parameters
from .planar_layers import vectors

Directions = Literal["orthogonal", "householder", "triangular"]


class Sylvester(Transform):
    """Sylvester layer: z = x + Q R tanh(S Q^T x + b).

    Args:
        space: Space of x and z, of shape (D,).
        width: Number of directions M, at most D; by default D, which "householder" and "triangular" require.
        directions: Construction of Q. "orthogonal" is the Q of the QR decomposition of a free matrix (the paper iterates
            towards the nearest orthogonal matrix instead); "householder" is a product of reflections; "triangular" is the
            identity, or with `flip` the reversal of the coordinates, and has no parameters.
        reflections: Number of reflections of "householder".
        flip: Whether "triangular" reverses the coordinates.
        context: Length of the context from which Q, R, S and b are computed; 0 for none.
        hidden: Widths of the hidden layers of the network that computes them; an empty tuple gives a linear map.
        activation: Activation function of that network.

    Raises:
        SpecError: Events are not vectors, or `directions` is unknown, or it does not allow the width.
    """

    def __init__(
        self,
        space: Real,
        *,
        width: int | None = None,
        directions: Directions = "orthogonal",
        reflections: int = 8,
        flip: bool = False,
        context: int = 0,
        hidden: Sequence[int] = (),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        size = vectors(space)
        m = size if width is None else width
        if directions not in get_args(Directions):
            raise SpecError(f"expected directions to be one of {', '.join(get_args(Directions))}, got {directions!r}")
        if not 1 <= m <= size or (directions != "orthogonal" and m != size):
            limits = f"between 1 and {size}" if directions == "orthogonal" else f"of {size} for {directions} directions"
            raise SpecError(f"expected a width {limits}, got {m}")
        self.x_space = self.z_space = space
        self.context = context_space(context)
        self.width, self.directions, self.flip = m, directions, flip
        self.free_shape = {"orthogonal": (size, m), "householder": (reflections, size), "triangular": (0, size)}[
            directions
        ]
        free = torch.randn(self.free_shape).flatten()
        matrices = torch.zeros(2, m, m)
        matrices[1] += 0.5 * torch.eye(m) + torch.randn(m, m).triu(1)
        start = torch.cat([free, matrices.flatten(), torch.zeros(m)])
        self.parameters_of = Parameters(start, context, hidden, activation)

    def _made(self, context: Tensor | None) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        """Return Q (B, D, M), or None for the identity or reversal; R and S (B, M, M); and b (B, M)."""
        m = self.width
        free, r, s, b = self.parameters_of(context).split((math.prod(self.free_shape), m * m, m * m, m), -1)
        r, s = _triangle(r.unflatten(-1, (m, m))), _triangle(s.unflatten(-1, (m, m)))
        if self.directions == "triangular":
            return None, r, s, b
        free = free.unflatten(-1, self.free_shape)
        return _orthonormal(free) if self.directions == "orthogonal" else reflected(free), r, s, b

    def _within(self, q: Tensor | None, v: Tensor) -> Tensor:
        """Return Q^T v."""
        if q is None:
            return v.flip(-1) if self.flip else v
        return torch.matmul(v.unsqueeze(-2), q).squeeze(-2)

    def _back(self, q: Tensor | None, t: Tensor) -> Tensor:
        """Return Q t."""
        return self._within(None, t) if q is None else torch.matmul(q, t.unsqueeze(-1)).squeeze(-1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, D) -> (B, D), (B,) in nats."""
        q, r, s, b = self._made(context)
        bent = torch.tanh(_times(s, self._within(q, x)) + b)
        return x + self._back(q, _times(r, bent)), _log_slopes(r, s, bent)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, from one scalar root per direction: (B, D) -> (B, D), (B,) in nats."""
        q, r, s, b = self._made(context)
        v = self._within(q, z)
        r, s, b = r.expand(z.shape[0], -1, -1), s.expand(z.shape[0], -1, -1), b.expand(z.shape[0], -1)
        product = r.diagonal(dim1=-2, dim2=-1) * s.diagonal(dim1=-2, dim2=-1)
        t, bent = v[:, :0], v[:, :0]
        for i in reversed(range(self.width)):
            # t_i = left - r_ii tanh(a) with a = s_ii t_i + sum_(j>i) s_ij t_j + b_i gives a + r_ii s_ii tanh(a) = right.
            left = v[:, i] - torch.linalg.vecdot(r[:, i, i + 1 :], bent)
            right = s[:, i, i] * left + torch.linalg.vecdot(s[:, i, i + 1 :], t) + b[:, i]
            h = torch.tanh(tanh_root(product[:, i], right))
            t = torch.cat([(left - r[:, i, i] * h).unsqueeze(-1), t], -1)
            bent = torch.cat([h.unsqueeze(-1), bent], -1)
        return z - self._back(q, _times(r, bent)), -_log_slopes(r, s, bent)


def _triangle(free: Tensor) -> Tensor:
    """Return an upper triangular matrix with a diagonal in (-1, 1), so that products of two diagonals are above -1.

    Division by sqrt(M) gives all entries above the diagonal together the weight of one diagonal entry, for every M.
    """
    return free.triu(1) / math.sqrt(free.shape[-1]) + torch.diag_embed(
        0.999 * torch.tanh(free.diagonal(dim1=-2, dim2=-1))
    )


def _orthonormal(free: Tensor) -> Tensor:
    """Return the Q of the QR decomposition whose R has a positive diagonal; this Q is unique and a smooth function."""
    q, r = torch.linalg.qr(free)
    return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _times(matrix: Tensor, v: Tensor) -> Tensor:
    return torch.matmul(matrix, v.unsqueeze(-1)).squeeze(-1)


def _log_slopes(r: Tensor, s: Tensor, bent: Tensor) -> Tensor:
    product = r.diagonal(dim1=-2, dim2=-1) * s.diagonal(dim1=-2, dim2=-1)
    return torch.log1p(product * (1 - bent.square())).sum(-1)
