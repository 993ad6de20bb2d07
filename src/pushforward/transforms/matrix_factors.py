"""Linear layers z = W x + b from factors that keep W invertible or nearly the identity.

    QR:        W = Q R with reflections Q and a triangular R,     log |det W| = sum log r_ii
    SVD:       W = U diag(exp s) V with reflections U and V,      log |det W| = sum s
    Woodbury:  W = I + U V with U (C, r) and V (r, C),            log |det W| = log |det(I_r + V U)|

A product of D Householder reflections I - 2 v v^T / |v|^2 reaches every orthogonal matrix with the determinant (-1)^D
(Tomczak and Welling 2016, arXiv:1611.09630). On images the matrices act on the channels of every position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Real, Transform, Undo
from ..errors import SpecError
from ..functional.reflections import reflected
from .linear import channels_of, mix


class _Reflections(nn.Module):
    """Orthogonal matrix as a product of learned reflections.

    Args:
        size: Number D of rows.
        count: Number of reflections.
        rotation: Whether the vectors start independent of each other; otherwise pairs of equal ones start as the identity.
    """

    def __init__(self, size: int, count: int, *, rotation: bool) -> None:
        super().__init__()
        free = torch.randn(count, size)
        if not rotation:
            # A reflection is its own inverse. The gradient of each vector of a pair is not zero, so the pair can part.
            free[1::2] = free[: count // 2 * 2 : 2]
        self.free = nn.Parameter(free)

    def forward(self) -> Tensor:
        """Return the matrix, (D, D)."""
        return reflected(self.free)


def _reflections_of(size: int, reflections: int | None) -> int:
    """Return the number of reflections; by default the smallest even number that reaches every rotation."""
    count = size + size % 2 if reflections is None else reflections
    if count < 1:
        raise SpecError(f"expected at least one reflection, got {count}")
    return count


def _shifted(bias: Tensor, v: Tensor) -> Tensor:
    """Return the bias in a shape that broadcasts to v (B, D) or (B, C, ...)."""
    return bias.reshape(-1, *(1 for _ in v.shape[2:]))


class QR(Transform):
    """QR layer z = Q R x + b: Q a product of Householder reflections, R upper triangular with diagonal exp(s).

    The inverse is a triangular solve. The layer starts as the identity if the number of reflections is even.

    Args:
        space: Space of x and z, of shape (D,) or (C, ...).
        reflections: Number of reflections; by default D or D + 1, whichever is even, with which Q is any rotation.
        rotation: Whether Q starts as a random orthogonal matrix.

    Raises:
        SpecError: Events are scalars, of shape (), or there is no reflection.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real, *, reflections: int | None = None, rotation: bool = False) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        size, self.positions = channels_of(space)
        self.q = _Reflections(size, _reflections_of(size, reflections), rotation=rotation)
        self.upper = nn.Parameter(torch.zeros(size, size))
        self.log_diagonal = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def _triangle(self) -> Tensor:
        return self.upper.triu(1) + torch.diag(self.log_diagonal.exp())

    def _volume(self, v: Tensor) -> Tensor:
        return (self.positions * self.log_diagonal.sum()).expand(v.shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return Q R x + b, and sum s times the number of positions."""
        return mix(self.q() @ self._triangle(), x) + _shifted(self.bias, x), self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return R^-1 Q^T (z - b), and -sum s times the number of positions."""
        y = mix(self.q().mT, z - _shifted(self.bias, z))
        right = y.mT if y.dim() == 2 else y.flatten(2)
        x = torch.linalg.solve_triangular(self._triangle(), right, upper=True)
        return x.mT if y.dim() == 2 else x.reshape(z.shape), -self._volume(z)


class SVD(Transform):
    """SVD layer z = U diag(exp s) V x + b, with U and V products of Householder reflections.

    exp(s) are the singular values of W, so a bound of |s| bounds the condition number of the layer by exp(2 bound). The layer
    starts as the identity if the number of reflections is even.

    Args:
        space: Space of x and z, of shape (D,) or (C, ...).
        reflections: Number of reflections in each of U and V; by default D or D + 1, whichever is even.
        rotation: Whether U and V start as random orthogonal matrices.

    Raises:
        SpecError: Events are scalars, of shape (), or there is no reflection.

    References:
        Zhang, Lei, Dhillon 2018, arXiv:1803.09327.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real, *, reflections: int | None = None, rotation: bool = False) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        size, self.positions = channels_of(space)
        count = _reflections_of(size, reflections)
        self.u, self.v = (_Reflections(size, count, rotation=rotation) for _ in range(2))
        self.log_scale = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def _volume(self, v: Tensor) -> Tensor:
        return (self.positions * self.log_scale.sum()).expand(v.shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return W x + b, and sum s times the number of positions."""
        weight = (self.u() * self.log_scale.exp()) @ self.v()
        return mix(weight, x) + _shifted(self.bias, x), self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return V^T diag(exp -s) U^T (z - b), and -sum s times the number of positions."""
        back = (self.v().mT * (-self.log_scale).exp()) @ self.u().mT
        return mix(back, z - _shifted(self.bias, z)), -self._volume(z)


class _LowRank(nn.Module):
    """Matrix I + U V with a low rank of U V; U starts at zero.

    Args:
        size: Number C of rows.
        rank: Number r of columns of U.
    """

    def __init__(self, size: int, rank: int) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.zeros(size, rank))
        self.v = nn.Parameter(torch.randn(rank, size) / size**0.5)

    def small(self) -> Tensor:
        """Return I + V U, (r, r), in float64."""
        product = self.v.double() @ self.u.double()
        return torch.eye(len(product), dtype=product.dtype, device=product.device) + product

    def log_volume(self) -> Tensor:
        """Return log |det(I + U V)| = log |det(I + V U)|, a scalar in float64."""
        return torch.linalg.slogdet(self.small())[1]

    def times(self, x: Tensor) -> Tensor:
        """Return (I + U V) x for each column of x: (B, C, P) -> (B, C, P)."""
        return x + self.u @ (self.v @ x)

    def solve(self, z: Tensor) -> Tensor:
        """Return (I + U V)^-1 z = z - U (I + V U)^-1 V z for each column of z: (B, C, P) -> (B, C, P)."""
        # The inverse of the small matrix is rounded once, in float64.
        return z - (self.u.double() @ torch.linalg.solve(self.small(), self.v.double())).to(z.dtype) @ z


class Woodbury(Transform):
    """Woodbury layer z = (I + U V) x + b with a low rank; for images also z = (I + U V) X (I + U' V') over positions.

    The determinant and the inverse come from matrices of the size of the rank, not of the number of channels:

        log |det(I + U V)| = log |det(I_r + V U)|,    (I + U V)^-1 = I - U (I_r + V U)^-1 V

    The layer starts as the identity. It is not invertible where I_r + V U is singular. There the log-likelihood is minus
    infinity, so that training moves away from it. One very large step may still end near it, and then the inverse loses
    digits.

    Args:
        space: Space of x and z, of shape (D,) or (C, ...).
        rank: Rank r over coordinates or channels.
        positions_rank: Rank over the positions of an image, which then also mix within each channel; 0 for none.

    Raises:
        SpecError: Events are scalars, or a rank is out of range.

    References:
        Lu and Huang 2020, arXiv:2002.02798.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real, *, rank: int = 8, positions_rank: int = 0) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        self.channels, self.positions = channels_of(space)
        if rank < 1 or positions_rank < 0:
            raise SpecError(f"expected a rank >= 1 and a rank over positions >= 0, got {rank} and {positions_rank}")
        if positions_rank and len(space.shape) == 1:
            raise SpecError(f"expected a space of images for a rank over positions, got {space}")
        self.over_channels = _LowRank(self.channels, rank)
        self.over_positions = _LowRank(self.positions, positions_rank) if positions_rank else None
        self.bias = nn.Parameter(torch.zeros(self.channels))

    def _volume(self, v: Tensor) -> Tensor:
        total = self.positions * self.over_channels.log_volume()
        if self.over_positions is not None:
            total = total + self.channels * self.over_positions.log_volume()
        return total.to(v.dtype).expand(v.shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z, and log |det W|."""
        z = x.reshape(x.shape[0], self.channels, self.positions)
        if self.over_positions is not None:
            z = self.over_positions.times(z.mT).mT
        z = self.over_channels.times(z) + self.bias[:, None]
        return z.reshape(x.shape), self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x by the Woodbury identity, and -log |det W|."""
        x = self.over_channels.solve(z.reshape(z.shape[0], self.channels, self.positions) - self.bias[:, None])
        if self.over_positions is not None:
            x = self.over_positions.solve(x.mT).mT
        return x.reshape(z.shape), -self._volume(z)
