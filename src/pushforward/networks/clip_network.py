"""Residual network of past frames, with dilated convolutions over time and space and gated units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv import check_counts, last
from .network import Network

DILATIONS = (1, 2, 4)
"""Distances of the taps of the parallel branches of a block; those as large as the picture itself are left out."""


class ClipNet(Network):
    """Residual network from the frames before a frame to numbers at each of its positions.

        h_0 = [frames, W given],   h_i = h_(i-1) + sum_d branch_(i,d)(h_(i-1)),   result = conv1x1(h_blocks at the last frame)
        branch_d(h) = conv(tanh(a) sigmoid(b)),   (a, b) = conv1x1x1(relu(conv(h)))

    Both convolutions of a branch have kernels of 2 x 3 x 3, with the distance d between taps in space, and see no later
    frame. The last one starts at zero, so each block starts as the identity (Kumar et al. 2020, arXiv:1903.01434, appendix).

    Args:
        inputs: Number of channels of the frames.
        outputs: Number of channels of the result.
        size: Height and width.
        hidden: Number of hidden channels of each branch.
        blocks: Number of residual blocks.
        context: Number of channels of a picture that is given for the next frame, 0 for none.

    Raises:
        SpecError: A count is below 1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int],
        *,
        hidden: int = 64,
        blocks: int = 2,
        context: int = 0,
    ) -> None:
        super().__init__()
        check_counts(context=context, inputs=inputs, outputs=outputs, hidden=hidden, blocks=blocks)
        self.project = nn.Conv2d(context, inputs, 1) if context else None
        width = 2 * inputs if context else inputs
        dilations = [d for d in DILATIONS if d < max(size)] or [1]
        self.blocks = nn.ModuleList(_Block(width, hidden, dilations) for _ in range(blocks))
        self.out = last(nn.Conv2d(width, outputs, 1), zero=True)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: frames (B, inputs, K, H, W), oldest first, and a picture (B, c, H, W) -> (B, outputs, H, W)."""
        h = x
        if self.project is not None and context is not None:
            given = self.project(context)[:, :, None]
            h = torch.cat([x, given.expand(-1, -1, x.shape[2], -1, -1)], 1)
        for block in self.blocks:
            h = block(h)
        return self.out(h[:, :, -1])


class _Block(nn.Module):
    """Residual block of parallel branches, which all see its input.

    Args:
        channels: Number of channels of its input and its result.
        hidden: Number of hidden channels of each branch.
        dilations: Distance between taps of each branch.
    """

    def __init__(self, channels: int, hidden: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_Branch(channels, hidden, d) for d in dilations)

    def forward(self, h: Tensor) -> Tensor:
        """Return the input plus the results of the branches."""
        total = h
        for branch in self.branches:
            total = total + branch(h)
        return total


class _Branch(nn.Module):
    """Branch of a residual block.

    Args:
        channels: Number of channels of its input and its result.
        hidden: Number of hidden channels.
        dilation: Distance between taps in space.
    """

    def __init__(self, channels: int, hidden: int, dilation: int) -> None:
        super().__init__()
        around = (0, dilation, dilation)
        taps = (1, dilation, dilation)
        self.first = nn.Conv3d(channels, hidden, (2, 3, 3), padding=around, dilation=taps)
        self.gate = nn.Conv3d(hidden, 2 * hidden, 1)
        self.second = nn.Conv3d(hidden, channels, (2, 3, 3), padding=around, dilation=taps)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, h: Tensor) -> Tensor:
        """Return the result of the branch: (B, C, K, H, W) -> (B, C, K, H, W)."""
        a, b = self.gate(torch.relu(self.first(_before(h)))).chunk(2, 1)
        return self.second(_before(torch.tanh(a) * torch.sigmoid(b)))


def _before(h: Tensor) -> Tensor:
    """Return frames with one of zeros in front, so that a kernel of two frames sees a frame and the one before it."""
    return F.pad(h, (0, 0, 0, 0, 1, 0))
