"""Contractions: networks with a proven Lipschitz constant below one, and products with their Jacobians.

The matrix W of a layer is scaled by min(1, c / s), where s is an upper bound of its largest singular value s_1. With
G = W^T W and M = 2^k,

    s_1^2 <= s^2 = tr(G^(M + 1))^(1 / (M + 1)) <= n^(1 / (M + 1)) s_1^2,

which costs k squarings of G and is equivalent to M steps of power iteration from every start at once. It is a bound, not an
estimate; it is the same in training and evaluation; it needs no stored vectors; and it is smooth: its gradient with
respect to G is s^2 G^M / tr(G^(M + 1)).

A convolution with zero padding is a block of a circular convolution on a larger picture. G of the latter is
block-diagonal after a Fourier transform, with one block of channels for each frequency (Sedghi, Gupta, Long 2019,
arXiv:1805.10408).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SpecError
from ..recording import Recorded

SQUARINGS = 12
"""Number k of squarings; for a layer of 64 units the bound is at most 0.05 % above the norm."""
Linear = Callable[[Tensor], Tensor]


def norm_bound(gram: Tensor) -> Tensor:
    """Return an upper bound of the largest singular value s_1 of W, from W^T W.

    Args:
        gram: Matrix W^T W, (n, n), or the blocks (F, n, n) of a block-diagonal one; real or complex, positive
            semi-definite.

    Returns:
        The bound s, a scalar, with its gradient.
    """
    # A multiple of the identity near the smallest number keeps the trace of a zero matrix positive.
    least = torch.finfo(gram.real.dtype).tiny ** 0.5
    gram = gram + least * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    # `power` is G^M divided by its Frobenius norm, whose logarithm is `log_size`: without scaling G^4096 would overflow.
    power, exponent = gram.detach(), 2**SQUARINGS
    size = power.abs().square().sum().sqrt()
    power, log_size = power / size, size.log()
    for _ in range(SQUARINGS):
        power = power @ power
        size = power.abs().square().sum().sqrt()
        power, log_size = power / size, 2 * log_size + size.log()
    # The blocks are Hermitian: tr(A B) is the sum of conj(a_ij) b_ij.
    trace = (power.conj() * gram.detach()).sum().real
    weight = power / trace
    value = (trace.log() + log_size) / (exponent + 1)
    # log s^2 = log tr(G^(M + 1)) / (M + 1) has the gradient G^M / tr(G^(M + 1)) = weight. The linear term below
    # contributes exactly this gradient and no value, so autograd need not record the squarings.
    linear = (weight.conj() * gram).sum().real
    return ((value + linear - linear.detach()) / 2).exp()


class LipSwish(nn.Module):
    """LipSwish a sigmoid(softplus(b) a) / 1.1, of slope below one (Chen et al. 2019, arXiv:1906.02735, section 3.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.free = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the value and the slope."""
        sharp = F.softplus(self.free)
        gate = (sharp * raw).sigmoid()
        value = raw * gate / 1.1
        return value, gate / 1.1 + sharp * value * (1 - gate)


class Spectral(nn.Module, abc.ABC):
    """Linear layer of operator norm at most `coefficient`, plus a shift from the context, which is not bounded.

    Args:
        layer: Layer with a weight and a bias.
        coefficient: Largest norm c, in (0, 1].
        context: Length of the context, 0 for none.
        width: Width of the shift.

    Raises:
        SpecError: The coefficient is not in (0, 1].
    """

    def __init__(self, layer: nn.Module, coefficient: float, context: int, width: int) -> None:
        super().__init__()
        if not 0 < coefficient <= 1:
            raise SpecError(f"expected a norm in (0, 1], got {coefficient}: the network would not be a contraction")
        self.inner: Any = layer
        self.coefficient = coefficient
        self.given = nn.Linear(context, width, bias=False) if context else None

    @abc.abstractmethod
    def bound(self) -> Tensor:
        """Return an upper bound of the norm of the weight before scaling, a scalar."""

    def weight(self) -> Tensor:
        """Return the scaled weight, of norm at most `coefficient`."""
        return self.inner.weight * (self.coefficient / self.bound()).clamp(max=1.0)

    @abc.abstractmethod
    def push(self, weight: Tensor, v: Tensor) -> Tensor:
        """Return W v."""

    @abc.abstractmethod
    def pull(self, weight: Tensor, v: Tensor) -> Tensor:
        """Return W^T v."""

    @abc.abstractmethod
    def shift(self, context: Tensor | None) -> Tensor:
        """Return the bias plus the shift from the context."""


class SpectralLinear(Spectral):
    """Linear layer h -> W h + b + V c with |W| <= coefficient.

    Args:
        inputs: Number of entries of h.
        outputs: Number of entries of the result.
        coefficient: Largest operator norm of W, in (0, 1].
        context: Length of the context c, 0 for none.
    """

    def __init__(self, inputs: int, outputs: int, coefficient: float, context: int = 0) -> None:
        super().__init__(nn.Linear(inputs, outputs), coefficient, context, outputs)

    def bound(self) -> Tensor:
        """Return the bound of `norm_bound`, from the smaller one of W W^T and W^T W."""
        weight: Tensor = self.inner.weight
        return norm_bound(weight @ weight.mT if weight.shape[0] < weight.shape[1] else weight.mT @ weight)

    def push(self, weight: Tensor, v: Tensor) -> Tensor:
        """Return W v: (..., inputs) -> (..., outputs)."""
        return v @ weight.mT

    def pull(self, weight: Tensor, v: Tensor) -> Tensor:
        """Return W^T v: (..., outputs) -> (..., inputs)."""
        return v @ weight

    def shift(self, context: Tensor | None) -> Tensor:
        """Return the shift, (outputs,) or (B, outputs)."""
        return self.inner.bias if self.given is None else self.inner.bias + self.given(context)


class SpectralConv(Spectral):
    """Convolution with zero padding that keeps the size of pictures, of operator norm at most `coefficient`.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        size: Height and width of the pictures.
        kernel: Side of the kernel, odd.
        coefficient: Largest operator norm, in (0, 1].
        context: Length of the context, 0 for none.
    """

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], kernel: int, coefficient: float, context: int = 0
    ) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), coefficient, context, outputs)
        self.size, self.margin = size, kernel // 2

    def bound(self) -> Tensor:
        """Return the norm bound of a circular convolution on a picture enlarged by the padding, which is not smaller."""
        weight: Tensor = self.inner.weight
        # A 1 x 1 kernel has the same block at all frequencies. A real kernel has conjugate blocks at opposite frequencies,
        # so half of them (rfft2) determine the largest singular value.
        size = [n + 2 * self.margin for n in self.size] if self.margin else [1, 1]
        blocks = torch.fft.rfft2(weight, s=size).flatten(2).movedim(2, 0)
        return norm_bound(blocks @ blocks.mH if weight.shape[0] < weight.shape[1] else blocks.mH @ blocks)

    def push(self, weight: Tensor, v: Tensor) -> Tensor:
        """Return the convolution of v: (..., C, H, W) -> (..., outputs, H, W)."""
        return F.conv2d(v.flatten(0, -4), weight, padding=self.margin).unflatten(0, v.shape[:-3])

    def pull(self, weight: Tensor, v: Tensor) -> Tensor:
        """Return the transposed convolution of v: (..., outputs, H, W) -> (..., C, H, W)."""
        return F.conv_transpose2d(v.flatten(0, -4), weight, padding=self.margin).unflatten(0, v.shape[:-3])

    def shift(self, context: Tensor | None) -> Tensor:
        """Return the shift, (outputs, 1, 1) or (B, outputs, 1, 1)."""
        bias: Tensor = self.inner.bias
        bias = bias if self.given is None else bias + self.given(context)
        return bias[..., None, None]


class Contraction(Recorded, nn.Module):
    """Contraction g(x, c): spectral layers with LipSwish in between, with Lipschitz constant at most `coefficient` in x.

    Each layer has the same constant, coefficient^(1 / number of layers).

    Args:
        layers: Spectral layers, at least one.
    """

    def __init__(self, layers: Sequence[Spectral]) -> None:
        super().__init__()
        self.layers: Sequence[Spectral] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.activations = nn.ModuleList(LipSwish() for _ in layers[:-1])

    @property
    def coefficient(self) -> float:
        """Upper bound of the Lipschitz constant: the product over the layers."""
        return math.prod(layer.coefficient for layer in self.layers)

    def weights(self) -> list[Tensor]:
        """Return the scaled weights of the layers, which several evaluations can share."""
        return [layer.weight() for layer in self.layers]

    def forward(self, x: Tensor, context: Tensor | None = None, weights: Sequence[Tensor] | None = None) -> Tensor:
        """Return g(x, c): x (B, *E), c (B, C) or None -> (B, *E)."""
        return self.linearised(x, context, weights)[0]

    def linearised(
        self, x: Tensor, context: Tensor | None = None, weights: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Linear, Linear]:
        """Return g(x, c), and the functions v -> J v and v -> J^T v of its Jacobian at x, for v (..., B, *E)."""
        weights = self.weights() if weights is None else weights
        slopes: list[Tensor] = []
        for layer, weight, act in zip(self.layers, weights, (*self.activations, None), strict=True):
            x = layer.push(weight, x) + layer.shift(context)
            if act is not None:
                x, slope = act(x)
                slopes.append(slope)

        def push(v: Tensor) -> Tensor:
            for i, (layer, weight) in enumerate(zip(self.layers, weights, strict=True)):
                v = layer.push(weight, v)
                v = v * slopes[i] if i < len(slopes) else v
            return v

        def pull(v: Tensor) -> Tensor:
            for i in reversed(range(len(weights))):
                v = v * slopes[i] if i < len(slopes) else v
                v = self.layers[i].pull(weights[i], v)
            return v

        return x, push, pull


def check_coefficient(coefficient: float, hidden: Sequence[int]) -> None:
    """Check the Lipschitz constant and the hidden widths.

    Raises:
        SpecError: The constant is not in (0, 1), or there is no hidden layer.
    """
    if not 0 < coefficient < 1:
        raise SpecError(f"expected a Lipschitz constant in (0, 1), got {coefficient}: x + g(x) may not be invertible")
    if not hidden or min(hidden) < 1:
        raise SpecError(f"expected hidden widths >= 1, at least one, got {tuple(hidden)}")


class LipschitzMLP(Contraction):
    """Contraction of vectors.

    Args:
        features: Length D of the vectors.
        hidden: Widths of the hidden layers.
        coefficient: Lipschitz constant in x, in (0, 1).
        context: Length of the context c, 0 for none; it enters at the first layer, without a bound.

    Raises:
        SpecError: The constant is not in (0, 1), or there is no hidden layer.
    """

    def __init__(self, features: int, *, hidden: Sequence[int], coefficient: float, context: int = 0) -> None:
        check_coefficient(coefficient, hidden)
        widths = list(pairwise([features, *hidden, features]))
        share = coefficient ** (1 / len(widths))
        super().__init__([SpectralLinear(a, b, share, 0 if i else context) for i, (a, b) in enumerate(widths)])


class LipschitzConvNet(Contraction):
    """Contraction of pictures: convolutions of 3 x 3, 1 x 1, ..., 3 x 3, as in the paper.

    Args:
        shape: Shape of a picture, (C, H, W).
        hidden: Numbers of channels of the hidden layers.
        coefficient: Lipschitz constant in x, in (0, 1).
        context: Length of the context c, 0 for none.

    Raises:
        SpecError: The constant is not in (0, 1), or there is no hidden layer.
    """

    def __init__(
        self, shape: tuple[int, int, int], *, hidden: Sequence[int], coefficient: float, context: int = 0
    ) -> None:
        check_coefficient(coefficient, hidden)
        channels, *size = shape
        widths = list(pairwise([channels, *hidden, channels]))
        share, last = coefficient ** (1 / len(widths)), len(widths) - 1
        super().__init__(
            [
                SpectralConv(a, b, (size[0], size[1]), 3 if i in (0, last) else 1, share, 0 if i else context)
                for i, (a, b) in enumerate(widths)
            ]
        )
