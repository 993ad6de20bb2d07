"""Linear layers: z = W x + b with log |det W| at hand.

Permutation: W moves coordinates, log-determinant 0. Diagonal: the sum of the log-scales. LU: W = P L (U + diag d), so the
sum of log d (Kingma and Dhariwal 2018, arXiv:1807.03039, eq. 10-11; P fixed). Orthogonal: the Cayley map of a
skew-symmetric A, Q = (I - A)(I + A)^-1, log-determinant 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core import Real, Space, Transform, Undo
from ..errors import SpecError


class Permutation(Transform):
    """z_i = x_order[i].

    Args:
        space: of x and z, of shape (D, ...); the first dimension is permuted.
        order: a permutation of 0 ... D - 1; None reverses.

    Raises:
        SpecError: `order` is not a permutation.
    """

    undo = Undo.BOTH
    order: Tensor
    back: Tensor

    def __init__(self, space: Space, order: Sequence[int] | None = None) -> None:
        super().__init__()
        size = space.shape[0] if space.shape else 0
        order = list(range(size))[::-1] if order is None else list(order)
        if not space.shape or sorted(order) != list(range(size)):
            raise SpecError(f"expected a permutation of 0 ... {size - 1} for {space}, got {order}")
        self.x_space = self.z_space = space
        self.register_buffer("order", torch.tensor(order))
        self.register_buffer("back", torch.tensor(order).argsort())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Permuted, 0."""
        return x[:, self.order], self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Permuted back, 0."""
        return z[:, self.back], self._nothing(z)


class Diagonal(Transform):
    """z = exp(s) x: the scaling layer of NICE (Dinh et al. 2015, arXiv:1410.8516, section 3.3).

    Args:
        space: of x and z.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        self.log_scale = nn.Parameter(torch.zeros(space.shape))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """exp(s) x, sum s."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """exp(-s) z, -sum s."""
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(z.shape[0])


class LU(Transform):
    """z = L (U + diag exp(s)) x + b, L unit lower, U strictly upper triangular; starts as the identity.

    For images the same matrix maps the channels of every position, which is the 1 x 1 convolution of Glow (Kingma and
    Dhariwal 2018, arXiv:1807.03039, eq. 10-11); the log-determinant counts once for each position.

    Args:
        space: of x and z, of shape (D,), or (C, ...).

    Raises:
        SpecError: an event is a single number without a dimension.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real) -> None:
        super().__init__()
        if not space.shape:
            raise SpecError(f"expected a space of vectors or images, got {space}")
        self.x_space = self.z_space = space
        size = space.shape[0]
        self.positions = space.size // max(1, size)
        self.lower = nn.Parameter(torch.zeros(size, size))
        self.upper = nn.Parameter(torch.zeros(size, size))
        self.log_diagonal = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def _factors(self) -> tuple[Tensor, Tensor]:
        eye = torch.eye(len(self.bias), dtype=self.bias.dtype, device=self.bias.device)
        return self.lower.tril(-1) + eye, self.upper.triu(1) + torch.diag(self.log_diagonal.exp())

    def _volume(self, v: Tensor) -> Tensor:
        return (self.positions * self.log_diagonal.sum()).expand(v.shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """W x + b, sum s for each position."""
        lower, upper = self._factors()
        if x.dim() == 2:
            return torch.addmm(self.bias, x, (lower @ upper).mT), self._volume(x)
        return (torch.matmul(lower @ upper, x.flatten(2)) + self.bias[:, None]).view(x.shape), self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Two triangular solves."""
        lower, upper = self._factors()
        right = (z - self.bias).mT if z.dim() == 2 else z.flatten(2) - self.bias[:, None]
        y = torch.linalg.solve_triangular(lower, right, upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, y, upper=True)
        return x.mT if z.dim() == 2 else x.reshape(z.shape), -self._volume(z)


class Orthogonal(Transform):
    """z = Q x, Q the Cayley map of a learned skew-symmetric matrix; a rotation without eigenvalue -1.

    Args:
        space: of x and z, of shape (D,).
    """

    undo = Undo.BOTH

    def __init__(self, space: Real) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        (size,) = space.shape
        self.free = nn.Parameter(torch.zeros(size, size))

    @property
    def matrix(self) -> Tensor:
        """Q, (D, D)."""
        skew = self.free.triu(1)
        skew = skew - skew.mT
        eye = torch.eye(len(skew), dtype=skew.dtype, device=skew.device)
        return torch.linalg.solve(eye + skew, eye - skew)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Q x, 0."""
        return x @ self.matrix.mT, self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Q^T z, 0."""
        return z @ self.matrix, self._nothing(z)
