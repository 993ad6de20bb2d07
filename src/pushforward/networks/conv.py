"""Small convolutional networks for couplings of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import SpecError
from .precision import Network


class ConvNet(Network):
    """Convolutions of 3 x 3, 1 x 1 and 3 x 3 with ReLU between them (Kingma and Dhariwal 2018, arXiv:1807.03039, section 5).

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        hidden: channels between.
        context: must be 0: there is no way in for one yet.
        zero: whether the last layer starts at zero.

    Raises:
        SpecError: a number of channels below 1, or a context.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int = 64, context: int = 0, zero: bool = True) -> None:
        super().__init__()
        if min(inputs, outputs, hidden) < 1:
            raise SpecError(f"expected at least one channel everywhere, got {inputs}, {hidden}, {outputs}")
        if context:
            raise SpecError(f"expected a convolutional network without a context, got one of length {context}")
        self.first = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.middle = nn.Conv2d(hidden, hidden, 1)
        self.out = nn.Conv2d(hidden, outputs, 3, padding=1)
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return self.out(torch.relu_(self.middle(torch.relu_(self.first(x)))))
