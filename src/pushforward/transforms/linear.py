"""Linear layers z = W x + b whose log |det W| is cheap.

Permutation: W permutes coordinates, log |det W| = 0. Diagonal: log |det W| is the sum of the log-scales. Linear: any W. LU:
W = P L (U + diag d), log |det W| = sum log |d| (Kingma and Dhariwal 2018, arXiv:1807.03039, eq. 10-11; P and the signs of d are
fixed). Orthogonal: the Cayley map of a skew-symmetric A, Q = (I - A)(I + A)^-1, log |det Q| = 0. Haar: a fixed
orthogonal map of blocks of pixels.

On images, Linear, LU and Orthogonal multiply the channels of every position by the same matrix: 1 x 1 convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core import Real, Space, Sphere, Transform, Undo
from ..errors import ShapeError, SpecError
from ..functional.hand_gradients import eager
from ..functional.squeezing import squeeze, unsqueeze
from .shape import image_shape

WIDE = 256
"""Event length from which LU applies its two factors one after the other, for batches with fewer rows than this length."""


class Permutation(Transform):
    """Permutation of coordinates or channels: z_i = x_order[i].

    Args:
        space: Space of x and z, of shape (D, ...); the first dimension is permuted.
        order: Permutation of 0 ... D - 1; None reverses the order.

    Raises:
        SpecError: The argument `order` is not a permutation.
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
        """Return the permuted x, and 0."""
        return x[:, self.order], self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z in the original order, and 0."""
        return z[:, self.back], self._nothing(z)


class Diagonal(Transform):
    """Diagonal layer z = exp(s) x, the scaling layer of NICE (Dinh et al. 2015, arXiv:1410.8516, section 3.3).

    Args:
        space: Space of x and z.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        self.log_scale = nn.Parameter(torch.zeros(space.shape))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return exp(s) x and sum s."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(x.shape[0])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return exp(-s) z and -sum s."""
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(z.shape[0])


class Linear(Transform):
    """Linear layer z = W x with a full matrix that starts as a random rotation; for images the 1 x 1 convolution of Glow.

    log |det W| is computed in float64 and counted once for each position (Kingma and Dhariwal 2018, arXiv:1807.03039, eq. 9).

    Args:
        space: Space of x and z, of shape (D,) or (C, ...).

    Raises:
        SpecError: Events are scalars, of shape ().
    """

    undo = Undo.BOTH

    def __init__(self, space: Real) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        size, self.positions = channels_of(space)
        self.weight = nn.Parameter(random_rotation(size))

    def _volume(self, v: Tensor) -> Tensor:
        return (self.positions * torch.linalg.slogdet(self.weight.double())[1]).to(v.dtype).expand(v.shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return W x, and log |det W| times the number of positions."""
        return mix(self.weight, x), self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return W^-1 z, and -log |det W| times the number of positions."""
        return mix(torch.linalg.inv(self.weight.double()).to(z.dtype), z), -self._volume(z)


class LU(Transform):
    """LU layer z = P L (U + diag exp(s)) x + b: L unit lower, U strictly upper triangular, P a fixed permutation.

    For images the same matrix multiplies the channels of every position. This is the 1 x 1 convolution of Glow in the
    form whose log-determinant is a sum (Kingma and Dhariwal 2018, arXiv:1807.03039, eq. 10-11), counted once for each position.

    Args:
        space: Space of x and z, of shape (D,) or (C, ...).
        rotation: Whether W starts as a random rotation (with fixed signs of the diagonal) instead of the identity.

    Raises:
        SpecError: Events are scalars, of shape ().
    """

    undo = Undo.BOTH
    order: Tensor | None
    signs: Tensor | None

    def __init__(self, space: Real, *, rotation: bool = False) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        size, self.positions = channels_of(space)
        self.lower = nn.Parameter(torch.zeros(size, size))
        self.upper = nn.Parameter(torch.zeros(size, size))
        self.log_diagonal = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("order", None)
        self.register_buffer("signs", None)
        if rotation:
            self._rotate(size)

    def _rotate(self, size: int) -> None:
        # Row i of the permutation matrix P has its one in column order[i], so P y = y[order].
        permutation, lower, upper = torch.linalg.lu(random_rotation(size).double())
        self.order, self.signs = permutation.argmax(1), upper.diagonal().sign().to(self.bias.dtype)
        with torch.no_grad():
            self.lower.copy_(lower.tril(-1))
            self.upper.copy_(upper.triu(1))
            self.log_diagonal.copy_(upper.diagonal().abs().log())

    def _factors(self) -> tuple[Tensor, Tensor]:
        eye = torch.eye(len(self.bias), dtype=self.bias.dtype, device=self.bias.device)
        diagonal = self.log_diagonal.exp()
        diagonal = diagonal if self.signs is None else diagonal * self.signs
        return self.lower.tril(-1) + eye, self.upper.triu(1) + torch.diag(diagonal)

    def _volume(self, v: Tensor) -> Tensor:
        return (self.positions * self.log_diagonal.sum()).expand(v.shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return W x + b, and sum s times the number of positions."""
        lower, upper = self._factors()
        # `eager`: exported and compiled graphs must not depend on the number of rows.
        if len(self.bias) >= WIDE and eager(x) and x.dim() == 2 and x.shape[0] < len(self.bias):
            # With B < D rows, two products of B x D x D cost less than multiplying the factors, D x D x D.
            z = x @ upper.mT @ lower.mT
            return (z if self.order is None else z[:, self.order]) + self.bias, self._volume(x)
        weight = lower @ upper
        if self.order is not None:
            weight = weight[self.order]
        if x.dim() == 2:
            return torch.addmm(self.bias, x, weight.mT), self._volume(x)
        return (torch.matmul(weight, x.flatten(2)) + self.bias[:, None]).view(x.shape), self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x from two triangular solves, and -sum s times the number of positions."""
        lower, upper = self._factors()
        right = (z - self.bias).mT if z.dim() == 2 else z.flatten(2) - self.bias[:, None]
        if self.order is not None:
            right = right.index_select(-2, self.order.argsort())
        y = torch.linalg.solve_triangular(lower, right, upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, y, upper=True)
        return x.mT if z.dim() == 2 else x.reshape(z.shape), -self._volume(z)


class Orthogonal(Transform):
    """Orthogonal layer z = Q R x: Q the Cayley map of a learned skew-symmetric matrix, R a fixed rotation.

    For images Q R multiplies the channels of every position. On a sphere it is a learned rotation of the sphere.

    Args:
        space: Space of x and z, of shape (D,) or (C, ...).
        rotation: Whether R is a random rotation instead of the identity.

    Raises:
        SpecError: Events are scalars, of shape ().
    """

    undo = Undo.BOTH
    start: Tensor | None

    def __init__(self, space: Real | Sphere, *, rotation: bool = False) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        size, _ = channels_of(space)
        self.free = nn.Parameter(torch.zeros(size, size))
        self.register_buffer("start", random_rotation(size) if rotation else None)

    @property
    def matrix(self) -> Tensor:
        """The matrix Q R, (D, D)."""
        skew = self.free.triu(1)
        skew = skew - skew.mT
        eye = torch.eye(len(skew), dtype=skew.dtype, device=skew.device)
        # I + A is always invertible: the eigenvalues of a skew-symmetric A are imaginary. As I + A and I - A commute and
        # are each other's transpose, Q^T Q = I; the determinant of Q is det(I - A) / det(I + A) = 1.
        cayley = torch.linalg.solve(eye + skew, eye - skew)
        if self.start is None:
            return cayley
        start = self.start
        if start.dtype == torch.float64:
            # R was rounded to float32 when it was made; a step of Newton's method makes it orthogonal in float64.
            start = 1.5 * start - 0.5 * start @ start.mT @ start
        return cayley @ start

    def _moved(self, matrix: Tensor, v: Tensor) -> Tensor:
        # R is orthogonal up to its rounding only. On a sphere, `nearest` brings the result back; elsewhere it does nothing.
        return self.x_space.nearest(mix(matrix, v))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return Q R x and 0."""
        return self._moved(self.matrix, x), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return R^T Q^T z and 0."""
        return self._moved(self.matrix.mT, z), self._nothing(z)


class Haar(Transform):
    """One level of the Haar wavelet transform: (C, H, W) -> (4 C, H / 2, W / 2), orthogonal, with log-determinant 0.

    Each block of 2 x 2 positions gives half the sum, and half the differences across, down and diagonally. The C sums come
    first, then the differences. A `Slice` that keeps C channels therefore keeps the picture at half the resolution
    (Ardizzone et al. 2019, arXiv:1907.02392, section 3.2).

    Args:
        space: Space of x, of shape (C, H, W).

    Raises:
        ShapeError: Events are not images, or their height or width is odd.
    """

    undo = Undo.BOTH
    basis: Tensor

    def __init__(self, space: Real) -> None:
        super().__init__()
        c, h, w = image_shape(space)
        if h % 2 or w % 2:
            raise ShapeError(f"expected an even height and width, got {h} x {w}; pad or resize the images")
        self.x_space, self.z_space = space, Real((4 * c, h // 2, w // 2))
        rows = [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
        self.register_buffer("basis", 0.5 * torch.tensor(rows, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the wavelet coefficients and 0: (B, C, H, W) -> (B, 4 C, H / 2, W / 2), (B,)."""
        blocks = squeeze(x, 2).unflatten(1, (-1, 4))
        return torch.einsum("kj,bcjhw->bkchw", self.basis, blocks).flatten(1, 2), self._nothing(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the image, by the transposed matrix, and 0."""
        blocks = torch.einsum("kj,bkchw->bcjhw", self.basis, z.unflatten(1, (4, -1)))
        return unsqueeze(blocks.flatten(1, 2), 2), self._nothing(z)


def random_rotation(size: int) -> Tensor:
    """Return a random orthogonal matrix with determinant 1, uniformly distributed, in the default dtype."""
    q, r = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))
    # A QR decomposition is unique only if the diagonal of R is positive. With these signs Q is uniformly distributed over
    # the orthogonal matrices; without them it depends on the conventions of LAPACK.
    q = q * r.diagonal().sign()
    if size and torch.linalg.det(q) < 0:
        q[0] = -q[0]
    return q.to(torch.get_default_dtype())


def channels_of(space: Space) -> tuple[int, int]:
    """Return the length of the first dimension, and the number of positions."""
    if not space.shape:
        raise SpecError(f"expected a space of vectors or images, got {space}")
    return space.shape[0], space.size // max(1, space.shape[0])


def mix(weight: Tensor, v: Tensor) -> Tensor:
    """Return the matrix times every row of (B, D), or times the channels at every position of (B, C, ...)."""
    return v @ weight.mT if v.dim() == 2 else torch.matmul(weight, v.flatten(2)).reshape(v.shape)
