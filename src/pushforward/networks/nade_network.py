"""NADE: one hidden layer whose activations are carried from feature to feature.

    a_1 = c + U context,    h_d = act(rho_d a_d),    theta_d = b_d + V_d h_d,    a_(d+1) = a_d + W_d x_d

The weights W_d are shared by all hidden layers after feature d (Larochelle and Murray 2011; Uria et al. 2016, arXiv:1605.02226,
section 2). In a MaskedMLP a hidden unit serves only the outputs after its last input; here every unit serves every output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..errors import SpecError
from ..functional.hand_gradients import eager
from .mlp import activation as activation_named
from .ordered import OrderedNetwork

LARGEST = 1 << 24
"""Largest number of hidden values that are computed at once when no gradients are recorded."""


class NADENetwork(OrderedNetwork):
    """Neural autoregressive distribution estimator: the parameters of x_d from the x_j before it and from the context.

    Args:
        features: Number of features D.
        n: Number of parameters of each feature.
        width: Number of inputs that form one feature (a one-hot code).
        hidden: Number of hidden units.
        context: Length of the context, 0 for none.
        order: Rank of each feature: order[i] is the number of features before feature i. None is 0, 1, ..., D - 1.
        activation: Name of the activation function.
        rescale: Whether there is a learned factor rho_d for the activations of each feature (Uria et al. 2013,
            arXiv:1306.0186, section 3.2): the sum a_d grows with d, and a factor keeps the units out of saturation.
        dropout: Probability in [0, 1) of dropping a hidden unit in training.
        zero: Whether the output weights start at zero.

    Raises:
        SpecError: The order is not a permutation, or there are no hidden units.
    """

    columns: Tensor

    def __init__(
        self,
        features: int,
        n: int,
        *,
        width: int = 1,
        hidden: int = 500,
        context: int = 0,
        order: Sequence[int] | None = None,
        activation: str = "sigmoid",
        rescale: bool = False,
        dropout: float = 0.0,
        zero: bool = True,
    ) -> None:
        super().__init__()
        order = list(range(features)) if order is None else list(order)
        if sorted(order) != list(range(features)):
            raise SpecError(f"expected `order` to be a permutation of 0 ... {features - 1}, got {order}")
        if hidden < 1:
            raise SpecError(f"expected at least 1 hidden unit, got {hidden}")
        self.features, self.n, self.width, self.act = features, n, width, activation_named(activation)
        self.visit = torch.tensor(order).argsort().tolist()
        self.register_buffer("columns", torch.tensor(self.visit), persistent=False)
        # The variance of a_D is about that of one feature, however many features there are.
        self.inputs = nn.Parameter(torch.randn(features, width, hidden) / math.sqrt(features))
        self.start = nn.Parameter(torch.zeros(hidden))
        self.outputs = nn.Parameter(torch.zeros(features, n, hidden))
        self.bias = nn.Parameter(torch.zeros(features, n))
        self.rescale = nn.Parameter(torch.ones(features)) if rescale else None
        self.embed = nn.Linear(context, hidden, bias=False) if context else None
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()
        if not zero:
            nn.init.normal_(self.outputs, std=1 / math.sqrt(hidden))

    def start_at(self, values: Tensor) -> None:
        """Set the output biases to `values` (D, n), if the output weights are still zero."""
        if not bool(self.outputs.any()):
            self.bias.data.copy_(values)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters: x (B, D width), context (B, context) or None -> (B, D, n)."""
        # Everything is sorted by rank, features first, so that the output layers are one batched product.
        known = x.unflatten(1, (self.features, self.width))[:, self.columns].transpose(0, 1)
        carried = self._first(x, context)[None]
        size = self.features
        if not torch.is_grad_enabled() and eager(x):
            # Without gradients nothing has to be kept, so memory is limited by computing some features at a time.
            size = max(1, LARGEST // max(1, carried.numel()))
        made = []
        for first in range(0, self.features, size):
            columns = self.columns[first : first + size]
            added = known[first : first + size] @ self.inputs[columns]
            total = carried + added.cumsum(0)
            # The activations of a feature contain the features before it, not the feature itself.
            before = torch.cat([carried, total[:-1]])
            made.append(self._outputs(columns, before))
            carried = total[-1:]
        sorted_by_rank = torch.cat(made)
        return sorted_by_rank[self.columns.argsort()].transpose(0, 1)

    def _first(self, x: Tensor, context: Tensor | None) -> Tensor:
        start = self.start.expand(x.shape[0], -1)
        return start if self.embed is None else start + self.embed(context)

    def _outputs(self, columns: Tensor, before: Tensor) -> Tensor:
        """Return the parameters (k, B, n) of k features, from the carried activations (k, B, hidden)."""
        if self.rescale is not None:
            before = before * self.rescale[columns, None, None]
        h = self.dropout(self.act(before))
        return torch.baddbmm(self.bias[columns, None], h, self.outputs[columns].mT)

    def unroll(self, step: Callable[[int, Tensor], Tensor], rows: Tensor, context: Tensor | None = None) -> Tensor:
        """Compute the features one after the other; each adds its share to the carried activations."""
        carried, known = self._first(rows, context), {}
        for i in self.visit:
            column = self.columns.new_tensor([i])
            known[i] = step(i, self._outputs(column, carried[None])[0]).reshape(-1, self.width)
            carried = carried + known[i] @ self.inputs[i]
        return torch.cat([known[i] for i in range(self.features)], 1)
