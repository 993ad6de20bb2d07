"""Features of a picture at several resolutions, and networks of vectors that are given a picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv import check_counts
from .network import Network


class FeaturePyramid(Network):
    """Features of a picture at resolutions 1, 1/2, 1/4, ..., all brought to the full resolution by repetition.

        h_0 = relu(conv3x3(x)),   h_k = relu(conv3x3(mean of 2 x 2 positions of h_(k-1))),   features_k = conv3x3(h_k)

    A layer at resolution 2^-k that averages the features over blocks of 2^k positions has features_k exactly, the finer ones
    averaged, and the coarser ones repeated (Ardizzone et al. 2019, arXiv:1907.02392, section 3.1, whose layers see
    features_k only).

    Args:
        inputs: Number of channels of the picture.
        channels: Number of channels of the features at each resolution.
        levels: Number of resolutions.

    Raises:
        SpecError: A count is below 1.
    """

    def __init__(self, inputs: int, channels: int, levels: int) -> None:
        super().__init__()
        check_counts(context=0, inputs=inputs, channels=channels, levels=levels)
        self.channels, self.levels = channels, levels
        self.down = nn.ModuleList(nn.Conv2d(channels if k else inputs, channels, 3, padding=1) for k in range(levels))
        self.out = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(levels))

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the features: (B, inputs, H, W) -> (B, levels * channels, H, W)."""
        size = x.shape[2:]
        found, h = [], x
        for k, (down, out) in enumerate(zip(self.down, self.out, strict=True)):
            if k:
                # Pictures of odd sizes lose no row: the last mean is then of one row instead of two.
                h = F.avg_pool2d(h, 2, ceil_mode=True)
            h = torch.relu(down(h))
            found.append(F.interpolate(out(h), size=size))
        return torch.cat(found, 1)


class Pooled(nn.Module):
    """Network of vectors whose context may be a picture: it sees the means of the picture's channels.

    Args:
        network: Network of (x, context) with x (B, D) and context (B, C).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the network's result for x (B, D) and a context (B, C) or (B, C, h, w), or none."""
        if context is not None and context.dim() == 4:
            context = context.mean((2, 3))
        return self.network(x, context)


def pooled(network: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Return a function (inputs, outputs, context=length) that makes a `Pooled` network from one that makes its network."""

    def make(inputs: int, outputs: int, *, context: int = 0) -> Pooled:
        return Pooled(network(inputs, outputs, context=context))

    return make
