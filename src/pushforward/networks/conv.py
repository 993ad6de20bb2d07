"""Convolutional networks for couplings of images, and the projection of a condition to their hidden layers.

A network of images maps x (B, inputs, H, W) and a condition to (B, outputs, H, W). The condition has `context` channels. It is
a vector (B, context), equal at all positions, or a picture (B, context, h, w) of any resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ContextError, SpecError
from ..functional.squeezing import at_positions
from .network import Network

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class Condition(nn.Module):
    """Projection of a condition to the resolution and channels of hidden layers, by pooling and a 1 x 1 convolution.

    A picture of another resolution goes through adaptive average pooling: finer pictures are averaged, and coarser pictures are
    repeated.

    Args:
        context: Number of channels of the condition.
        hidden: Number of channels of every hidden layer to which it is added.
        places: Number of hidden layers; each has its own projection.
    """

    def __init__(self, context: int, hidden: int, places: int = 1) -> None:
        super().__init__()
        self.context, self.places = context, places
        self.project = nn.Conv2d(context, hidden * places, 1, bias=False)

    def forward(self, context: Tensor | None, size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Return what is added to each of the hidden layers.

        Args:
            context: Condition of shape (B, context) or (B, context, h, w).
            size: Height and width of the hidden layers.

        Returns:
            A tuple of `places` tensors, (B, hidden, 1, 1) for a vector and (B, hidden, H, W) for a picture.

        Raises:
            ContextError: The condition is missing or has another shape.
        """
        if context is None or context.dim() not in (2, 4) or context.shape[1] != self.context:
            got = "none" if context is None else f"one of shape {tuple(context.shape)}"
            raise ContextError(
                f"expected a condition of shape (B, {self.context}) or (B, {self.context}, h, w), got {got}"
            )
        # A vector is projected once and then broadcast, instead of projected at every position.
        picture = context[..., None, None] if context.dim() == 2 else at_positions(context, size)
        return self.project(picture).chunk(self.places, 1)


class ConvNet(Network):
    """Convolutions of 3 x 3, 1 x 1 and 3 x 3 with ReLU in between (Kingma and Dhariwal 2018, arXiv:1807.03039, section 5).

    Args:
        inputs: Number of channels of x.
        outputs: Number of channels of the result.
        hidden: Number of hidden channels.
        context: Number of channels of the condition, 0 for none; it is added to the first hidden layer.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A number of channels is below 1.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int = 64, context: int = 0, zero: bool = True) -> None:
        super().__init__()
        check_counts(context=context, inputs=inputs, outputs=outputs, hidden=hidden)
        self.first = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.middle = nn.Conv2d(hidden, hidden, 1)
        self.out = last(nn.Conv2d(hidden, outputs, 3, padding=1), zero=zero)
        self.condition = Condition(context, hidden) if context else None

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: x (B, inputs, H, W), condition or None -> (B, outputs, H, W)."""
        h = self.first(x)
        if self.condition is not None:
            h = h + self.condition(context, x.shape[2:])[0]
        return self.out(torch.relu_(self.middle(torch.relu_(h))))


class DenseNet(Network):
    """Densely connected network: pairs of 1 x 1 and 3 x 3 convolutions with ReLU; each pair sees all earlier results.

        h_0 = x,   h_i = [h_(i-1), relu(conv3x3(relu(conv1x1(h_(i-1)))))],   result = conv3x3(h_depth)

    This is the network of integer discrete flows (Hoogeboom et al. 2019, arXiv:1905.07376, appendix; Huang et al. 2017,
    arXiv:1608.06993).

    Args:
        inputs: Number of channels of x.
        outputs: Number of channels of the result.
        hidden: Number of channels that all layers together append, in equal shares.
        depth: Number of layers.
        context: Number of channels of the condition, 0 for none; it is added to the result of the first layer.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1, or there are fewer channels than layers.
    """

    def __init__(
        self, inputs: int, outputs: int, *, hidden: int = 64, depth: int = 4, context: int = 0, zero: bool = True
    ) -> None:
        super().__init__()
        check_counts(context=context, inputs=inputs, outputs=outputs, hidden=hidden, depth=depth)
        growth = hidden // depth
        check_counts(context=context, **{"hidden / depth": growth})
        widths = [inputs + i * growth for i in range(depth)]
        self.narrow = nn.ModuleList(nn.Conv2d(width, growth, 1) for width in widths)
        self.wide = nn.ModuleList(nn.Conv2d(growth, growth, 3, padding=1) for _ in widths)
        self.out = last(nn.Conv2d(inputs + depth * growth, outputs, 3, padding=1), zero=zero)
        self.condition = Condition(context, growth) if context else None

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: x (B, inputs, H, W), condition or None -> (B, outputs, H, W)."""
        h = x
        for i, (narrow, wide) in enumerate(zip(self.narrow, self.wide, strict=True)):
            new = wide(torch.relu_(narrow(h)))
            if i == 0 and self.condition is not None:
                new = new + self.condition(context, x.shape[2:])[0]
            h = torch.cat([h, torch.relu_(new)], 1)
        return self.out(h)


class ResNet(Network):
    """Residual network of RealNVP's couplings: pre-activation blocks whose outputs are all summed.

        h_0 = conv3x3(x),   h_i = h_(i-1) + conv3x3(relu(norm(conv3x3(relu(norm(h_(i-1)))))))
        result = conv1x1(relu(norm(sum_i conv1x1_i(h_i)))),   i = 0 ... blocks

    Dinh et al. 2017, arXiv:1605.08803, sections 3.7 and 4.1, and their published code, which uses both normalisations.
    Here batch normalisation is off by default, because in training it makes the result for a row depend on the other rows.

    Args:
        inputs: Number of channels of x.
        outputs: Number of channels of the result.
        hidden: Number of hidden channels.
        blocks: Number of residual blocks.
        context: Number of channels of the condition, 0 for none; it is added to h_0 and between the convolutions of every
            block.
        weight_norm: Whether all convolutions but the last use weight normalisation.
        batch_norm: Whether "norm" in the formula is batch normalisation; otherwise it is the identity.
        dropout: Probability in [0, 1) of dropping a hidden value in training, before the second convolution of a block.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1, or a probability is outside [0, 1).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: int = 64,
        blocks: int = 4,
        context: int = 0,
        weight_norm: bool = True,
        batch_norm: bool = False,
        dropout: float = 0.0,
        zero: bool = True,
    ) -> None:
        super().__init__()
        check_counts(context=context, dropout=dropout, inputs=inputs, outputs=outputs, hidden=hidden, blocks=blocks)
        conv = WeightNormConv2d if weight_norm else nn.Conv2d
        self.first = conv(inputs, hidden, 3, padding=1)
        self.blocks = nn.ModuleList(
            _ResidualBlock(hidden, conv, batch_norm=batch_norm, dropout=dropout) for _ in range(blocks)
        )
        self.skips = nn.ModuleList(conv(hidden, hidden, 1) for _ in range(blocks + 1))
        self.norm = _norm(hidden, batch_norm=batch_norm)
        self.out = last(nn.Conv2d(hidden, outputs, 1), zero=zero)
        self.condition = Condition(context, hidden, 1 + blocks) if context else None

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: x (B, inputs, H, W), condition or None -> (B, outputs, H, W)."""
        h = self.first(x)
        added: Sequence[Tensor | None] = [None] * len(self.blocks)
        if self.condition is not None:
            start, *added = self.condition(context, x.shape[2:])
            h = h + start
        total = self.skips[0](h)
        for block, skip, a in zip(self.blocks, self.skips[1:], added, strict=True):
            h = block(h, a)
            total = total + skip(h)
        return self.out(torch.relu(self.norm(total)))


class WeightNormConv2d(nn.Conv2d):
    """Convolution with weight g v / |v|, with one g and one norm for each channel of the result; g starts at |v|.

    Salimans and Kingma 2016, arXiv:1602.07868, eq. 2. torch's own parametrisation cannot be pickled.

    Args:
        inputs: Number of channels of x.
        outputs: Number of channels of the result.
        kernel: Side of the kernel.
        padding: Number of zeros added on each side of x.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, padding: int = 0) -> None:
        super().__init__(inputs, outputs, kernel, padding=padding)
        self.gain = nn.Parameter(self._norms().detach().clone())

    def _norms(self) -> Tensor:
        return torch.linalg.vector_norm(self.weight, dim=(1, 2, 3), keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x: (B, inputs, H, W) -> (B, outputs, H', W')."""
        return F.conv2d(x, self.weight * (self.gain / self._norms()), self.bias, padding=self.padding)


class _ResidualBlock(nn.Module):
    def __init__(self, hidden: int, conv: type[nn.Conv2d], *, batch_norm: bool, dropout: float) -> None:
        super().__init__()
        self.first_norm, self.second_norm = (_norm(hidden, batch_norm=batch_norm) for _ in range(2))
        self.first, self.second = (conv(hidden, hidden, 3, padding=1) for _ in range(2))
        self.dropout = dropout_layer(dropout)

    def forward(self, h: Tensor, added: Tensor | None) -> Tensor:
        r = self.first(torch.relu(self.first_norm(h)))
        if added is not None:
            r = r + added
        return h + self.second(self.dropout(torch.relu(self.second_norm(r))))


def _norm(channels: int, *, batch_norm: bool) -> nn.Module:
    return nn.BatchNorm2d(channels) if batch_norm else nn.Identity()


def dropout_layer(probability: float) -> nn.Module:
    """Return a dropout layer, or the identity when the probability is 0."""
    return nn.Dropout(probability) if probability > 0 else nn.Identity()


def last(layer: Layer, *, zero: bool) -> Layer:
    """Return the last layer of a network, with its parameters set to zero if `zero`."""
    if zero:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    return layer


def check_counts(*, context: int, dropout: float = 0.0, **counts: int) -> None:
    """Check the counts and the probability of a network.

    Raises:
        SpecError: A count is below 1, `context` is negative, or the probability is outside [0, 1).
    """
    for name, count in counts.items():
        if count < 1:
            raise SpecError(f"expected {name} >= 1, got {count}")
    if context < 0:
        raise SpecError(f"expected context >= 0 channels of the condition, got {context}")
    if not 0 <= dropout < 1:
        raise SpecError(f"expected a dropout probability with 0 <= p < 1, got {dropout}")
