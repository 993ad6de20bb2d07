"""The floor: the same networks alone, without a flow around them.

What a flow of this form cannot avoid are the matrix products of its networks, their backward pass and the optimiser's step.
Here the networks of all layers are plain dense modules with the same inputs, widths and outputs; their inputs are ready, and
the gradients of their outputs too. The inputs of all layers but the first need gradients, as in a flow. A masked network
counts as the dense network of its shape, so that only a flow that makes use of its masks' zeros can go below the floor.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..peers.library import Plain, PlainConvolutions
from .work import Work


class Floor(nn.Module):
    """The networks of some work.

    Args:
        work: which.
    """

    def __init__(self, work: Work) -> None:
        super().__init__()
        image = work.system.structure == "image"
        make = PlainConvolutions if image else Plain
        self.networks = nn.ModuleList(make(a, b, work.size.width) for a, b in work.networks)
        self.trailing = work.size.shape[1:] if image else ()
        self.shapes = work.networks

    def inputs(self, batch: int, device: torch.device) -> list[Tensor]:
        """One input for each network; all but the first ask for gradients."""
        return [
            torch.randn(batch, count, *self.trailing, device=device).requires_grad_(i > 0)
            for i, (count, _) in enumerate(self.shapes)
        ]

    def gradients(self, batch: int, device: torch.device) -> list[Tensor]:
        """One gradient for each network's output."""
        return [torch.randn(batch, count, *self.trailing, device=device) / batch for _, count in self.shapes]

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """Every network once."""
        return [net(x) for net, x in zip(self.networks, inputs, strict=True)]

    def backward(self, inputs: list[Tensor], gradients: list[Tensor]) -> None:
        """Every network forward and backward."""
        for x in inputs:
            x.grad = None
        torch.autograd.backward(self(inputs), gradients)
