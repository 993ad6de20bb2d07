"""Invertible convolutions of pictures with kernels larger than 1 x 1.

    Emerging:     two masked convolutions in opposite orders,     log |det| = H W sum of the logs of both centres' diagonals
    Periodic:     a convolution on a torus,                       log |det| = sum over frequencies f of log |det W(f)|
    Exponential:  z = exp(M) x with a convolution M,              log |det| = tr M = H W sum of the centre's diagonal

All keep the number of channels (Hoogeboom, van den Berg, Welling 2019, arXiv:1901.11137; Hoogeboom, Garcia Satorras, Tomczak,
Welling 2020, arXiv:2006.01910).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Real, Transform, Undo
from ..errors import SpecError
from ..networks.lipschitz import SpectralConv
from .linear import random_rotation
from .shape import image_shape


def _odd(kernel: int, smallest: int = 1) -> int:
    """Return half the side of a kernel, rounded down.

    Raises:
        SpecError: The side is even or too small.
    """
    if kernel < smallest or kernel % 2 == 0:
        raise SpecError(f"expected a kernel with an odd side of at least {smallest}, got {kernel}")
    return kernel // 2


class _Causal(nn.Module):
    """Masked convolution whose matrix is triangular, with positive diagonal, in the order of rows, columns and channels.

    Args:
        channels: Number of channels C.
        margin: Half the side of the kernel, rounded down.
    """

    mask: Tensor

    def __init__(self, channels: int, margin: int) -> None:
        super().__init__()
        self.margin, side = margin, 2 * margin + 1
        mask = torch.zeros(channels, channels, side, side)
        mask[:, :, :margin] = 1
        mask[:, :, margin, :margin] = 1
        mask[:, :, margin, margin] = torch.ones(channels, channels).tril(-1)
        self.register_buffer("mask", mask, persistent=False)
        self.free = nn.Parameter(torch.zeros_like(mask))
        self.log_diagonal = nn.Parameter(torch.zeros(channels))

    def kernel(self) -> Tensor:
        """Return the kernel, (C, C, k, k)."""
        centre = F.pad(torch.diag(self.log_diagonal.exp())[..., None, None], [self.margin] * 4)
        return self.free * self.mask + centre

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution with zero padding: (B, C, H, W) -> (B, C, H, W)."""
        return F.conv2d(x, self.kernel(), padding=self.margin)

    def solve(self, z: Tensor) -> Tensor:
        """Return x of a convolution z, from one triangular system of C W numbers for each row of pixels."""
        (_, channels, height, width), m, kernel = z.shape, self.margin, self.kernel()
        # Within a row the kernel's middle row acts, on pixels first and on channels second.
        basis = torch.eye(width * channels, dtype=z.dtype, device=z.device).unflatten(1, (width, channels)).mT
        within = F.conv1d(basis, kernel[:, :, m], padding=m).mT.flatten(1).mT
        above = [torch.zeros_like(z[:, :, 0])] * m
        for i in range(height):
            right = z[:, :, i]
            if m:
                window = torch.stack(above[-m:], 2)
                right = right - F.conv2d(window, kernel[:, :, :m], padding=(0, m))[:, :, 0]
            row = torch.linalg.solve_triangular(within, right.mT.flatten(1).mT, upper=False)
            above.append(row.mT.unflatten(1, (width, channels)).mT)
        return torch.stack(above[m:], 2)


class EmergingConv(Transform):
    """Emerging convolution: two masked convolutions, the second from the last pixel and channel to the first.

    One masked convolution sees the pixels before each pixel. Both together see all pixels around it, like a convolution without
    a mask. Both directions are exact. The inverse costs one triangular system of C W numbers for each row of pixels.
    The layer starts as the identity.

    Args:
        space: Space of x and z, of shape (C, H, W).
        kernel: Side of the kernels, odd.

    Raises:
        ShapeError: Events are not pictures.
        SpecError: The side of the kernel is even.

    References:
        Hoogeboom, van den Berg, Welling 2019, arXiv:1901.11137.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real, *, kernel: int = 3) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.x_space = self.z_space = space
        self.positions = height * width
        self.first, self.second = (_Causal(channels, _odd(kernel)) for _ in range(2))

    def _volume(self, v: Tensor) -> Tensor:
        total = self.first.log_diagonal.sum() + self.second.log_diagonal.sum()
        return (self.positions * total).expand(v.shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, C, H, W) -> (B, C, H, W), (B,) in nats."""
        return self.second(self.first(x).flip(1, 2, 3)).flip(1, 2, 3), self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, row by row."""
        return self.first.solve(self.second.solve(z.flip(1, 2, 3)).flip(1, 2, 3)), -self._volume(z)


class PeriodicConv(Transform):
    """Periodic convolution: a convolution whose padding wraps around; a Fourier transform makes it one matrix per frequency.

    Both directions are exact. The log-determinant costs H W C^3, for all rows of a batch together. The layer starts as a
    random rotation of the channels. It is not invertible where the matrix of a frequency is singular; the log-likelihood is
    minus infinity there.

    Args:
        space: Space of x and z, of shape (C, H, W).
        kernel: Side of the kernel, odd, and at most H and W.

    Raises:
        ShapeError: Events are not pictures.
        SpecError: The side of the kernel is even, or larger than the pictures.

    References:
        Hoogeboom, van den Berg, Welling 2019, arXiv:1901.11137.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real, *, kernel: int = 3) -> None:
        super().__init__()
        channels, *size = image_shape(space)
        self.x_space = self.z_space = space
        self.margin, self.size = _odd(kernel), size
        if kernel > min(size):
            raise SpecError(
                f"expected a kernel no larger than the pictures of {size[0]} x {size[1]}, got a side of {kernel}"
            )
        weight = torch.zeros(channels, channels, kernel, kernel)
        weight[:, :, self.margin, self.margin] = random_rotation(channels)
        self.weight = nn.Parameter(weight)

    def _frequencies(self) -> Tensor:
        """Return the matrix W(f) of each frequency in complex128, (H, W, C, C)."""
        height, width = self.size
        side = 2 * self.margin + 1
        kernel = F.pad(self.weight.double(), [0, width - side, 0, height - side])
        kernel = kernel.roll((-self.margin, -self.margin), (2, 3))
        # Convolutions of networks are correlations, whose transform is the conjugate one.
        return torch.fft.fft2(kernel).conj().permute(2, 3, 0, 1)

    def _volume(self, v: Tensor) -> Tensor:
        return torch.linalg.slogdet(self._frequencies())[1].sum().to(v.dtype).expand(v.shape[0])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, C, H, W) -> (B, C, H, W), (B,) in nats."""
        return F.conv2d(F.pad(x, [self.margin] * 4, mode="circular"), self.weight), self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, from one linear system for each frequency."""
        if not z.shape[0]:
            return z, -self._volume(z)  # Fourier transforms of empty batches are errors on some machines.
        right = torch.fft.fft2(z.double()).permute(2, 3, 1, 0)
        x = torch.linalg.solve(self._frequencies(), right)
        return torch.fft.ifft2(x.permute(3, 2, 0, 1)).real.to(z.dtype), -self._volume(z)


class ExponentialConv(Transform):
    """Exponential convolution: z = exp(M) x + b with exp(M) = I + M + M^2 / 2 + ... and a convolution M with zero padding.

    It is invertible for every M: the inverse is exp(-M). The norm of M is at most `norm`, by a proven bound, so that the
    terms after the last one that is computed are below rounding. exp(M) sees pixels at any distance.

    Args:
        space: Space of x and z, of shape (C, H, W).
        kernel: Side of the kernel of M, odd.
        norm: Largest operator norm of M, in (0, 1]; singular values of the layer are between exp(-norm) and exp(norm).

    Raises:
        ShapeError: Events are not pictures.
        SpecError: The side of the kernel is even, or the norm is not in (0, 1].

    References:
        Hoogeboom, Garcia Satorras, Tomczak, Welling 2020, arXiv:2006.01910.
    """

    undo = Undo.BOTH

    def __init__(self, space: Real, *, kernel: int = 3, norm: float = 1.0) -> None:
        super().__init__()
        channels, height, width = image_shape(space)
        self.x_space = self.z_space = space
        self.margin, self.positions = _odd(kernel), height * width
        self.conv = SpectralConv(channels, channels, (height, width), kernel, norm)

    def _volume(self, weight: Tensor, v: Tensor) -> Tensor:
        return (self.positions * weight[:, :, self.margin, self.margin].trace()).expand(v.shape[0])

    def _series(self, weight: Tensor, v: Tensor) -> Tensor:
        # As |M| <= 1, the rest after n terms is below e / (n + 1)!: 3e-10 for 12 terms, and 2e-17 for 19.
        total = v
        for k in range(1, (20 if v.dtype == torch.float64 else 12)):
            v = self.conv.push(weight, v) / k
            total = total + v
        return total

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, C, H, W) -> (B, C, H, W), (B,) in nats."""
        weight = self.conv.weight()
        return self._series(weight, x) + self.conv.shift(None), self._volume(weight, x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, by the series of exp(-M)."""
        weight = self.conv.weight()
        return self._series(-weight, z - self.conv.shift(None)), -self._volume(weight, z)
