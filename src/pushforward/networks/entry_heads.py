"""Parts of a network that reads some entries of a row and gives the parameters of every entry: hidden layers and heads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..recording import Recorded
from .mlp import ACTIVATIONS, activation_named, check_hidden, through
from .network import Network


class HiddenLayers(Network):
    """Hidden layers of a fully connected network, without the output layer.

    Args:
        inputs: Number of inputs.
        hidden: Widths of the layers; for a residual network an odd number of equal widths.
        residual: Whether the input of every second layer is added back, as in `MLP`.
        activation: Name of the activation function.
        dropout: Probability in [0, 1) of dropping a hidden unit in training.

    Raises:
        SpecError: There is no layer, the widths do not fit, or the activation is unknown.
    """

    def __init__(
        self,
        inputs: int,
        *,
        hidden: Sequence[int] = (64, 64),
        residual: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual)
        activation_named(activation)
        self.activation, self.residual, self.width = activation, residual, hidden[-1]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([inputs, *hidden]))
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the units of the last layer: (..., inputs) -> (..., hidden[-1])."""
        return through(self.layers, x, ACTIVATIONS[self.activation], self.dropout, residual=self.residual)


class EntryHeads(Recorded, nn.Module):
    """One linear map for each entry of a row, from shared hidden units to the parameters of the entry; they start at zero.

    Args:
        entries: Number of entries T.
        outputs: Number of parameters n of an entry.
        width: Number of hidden units.
    """

    def __init__(self, entries: int, outputs: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(entries, outputs, width))
        self.bias = nn.Parameter(torch.zeros(entries, outputs))

    def forward(self, h: Tensor) -> Tensor:
        """Return the parameters of all entries: (B, width) -> (B, T, n)."""
        weight = self.weight.flatten(0, 1)
        return nn.functional.linear(h, weight, self.bias.flatten()).unflatten(-1, self.bias.shape)

    def of(self, h: Tensor, entries: Tensor) -> Tensor:
        """Return the parameters of one entry for each group of hidden units: (P, B, width) and (P,) -> (P, B, n)."""
        return torch.baddbmm(self.bias[entries].unsqueeze(1), h, self.weight[entries].mT)

    @torch.no_grad()
    def start_at(self, values: Tensor) -> None:
        """Set the biases, (T, n), which are the first parameters of the entries because the weights start at zero."""
        self.bias.copy_(values)
