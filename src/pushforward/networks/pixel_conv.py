"""PixelCNN: masked convolutions in residual blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv import check_counts, dropout_layer
from .pixel_masks import MaskedConv2d
from .pixel_network import Added, PixelNetwork
from .pixel_walk import Walk


class PixelConvNet(PixelNetwork):
    """Masked convolutions: one with a large kernel and mask A, then residual blocks with mask B.

        h <- h + conv1x1(relu(conv kxk(relu(conv1x1(relu(h))))))

    with h of 2 `hidden` channels, and `hidden` channels inside of a block (van den Oord et al. 2016, arXiv:1601.06759, section
    3.5 and figure 5). A stack of masked convolutions has a blind spot: outputs never see a region of the picture above and to
    the right of them. `PixelGatedNet` has none.

    Args:
        inputs: Length of every input token.
        outputs: Length of every output token.
        size: Number of tokens of a pixel, height and width.
        hidden: Number of hidden channels of a block.
        blocks: Number of residual blocks.
        kernel: Side of the kernels in the blocks, an odd number.
        first_kernel: Side of the first kernel, an odd number.
        context: Number of channels of the condition, a vector or a picture; 0 for none. It is added in every block.
        dropout: Probability in [0, 1) of dropping a hidden value in training.
        zero: Whether the last layer starts at zero.

    Raises:
        SpecError: A count is below 1, or a probability is outside [0, 1).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: tuple[int, int, int],
        hidden: int = 32,
        blocks: int = 5,
        kernel: int = 3,
        first_kernel: int = 7,
        context: int = 0,
        dropout: float = 0.0,
        zero: bool = True,
    ) -> None:
        check_counts(context=context, blocks=blocks, kernel=kernel, first_kernel=first_kernel)
        super().__init__(
            inputs,
            outputs,
            size,
            hidden=hidden,
            features=2 * hidden,
            context=context,
            added=hidden,
            places=blocks,
            dropout=dropout,
            zero=zero,
        )
        tokens = size[0]
        self.first = first_conv(inputs, 2 * hidden, first_kernel, tokens)
        self.blocks = nn.ModuleList(_Block(hidden, kernel, tokens, dropout) for _ in range(blocks))

    def features(self, x: Tensor, added: Added, walk: Walk | None = None) -> Tensor:
        """Return the features behind the last block."""
        h = self.first(x, walk, self.positions)
        for block, more in zip(self.blocks, added, strict=True):
            h = block(h, more, walk)
        return h


class _Block(nn.Module):
    def __init__(self, hidden: int, kernel: int, tokens: int, dropout: float) -> None:
        super().__init__()
        self.enter = MaskedConv2d(2 * hidden, hidden, (0, 0), sees="here", tokens=tokens)
        self.middle = MaskedConv2d(hidden, hidden, (kernel // 2, kernel // 2), sees="here", tokens=tokens)
        self.leave = MaskedConv2d(hidden, 2 * hidden, (0, 0), sees="here", tokens=tokens)
        self.dropout = dropout_layer(dropout)

    def forward(self, h: Tensor, added: Tensor | None, walk: Walk | None) -> Tensor:
        r = self.enter(torch.relu(h), walk)
        r = self.middle(torch.relu(r), walk, added)
        return h + self.leave(self.dropout(torch.relu(r)), walk)


def first_conv(inputs: int, outputs: int, kernel: int, tokens: int) -> MaskedConv2d:
    """Return the first layer of a picture network: a masked convolution that does not see its own token (mask A)."""
    reach = (kernel // 2, kernel // 2)
    return MaskedConv2d(tokens * inputs, outputs, reach, sees="before", tokens=tokens)
