"""Fully connected networks, plain and residual, with a context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SpecError
from ..recording import Recorded
from .network import Network

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return the activation function with a name.

    Raises:
        SpecError: The name is unknown.
    """
    if name not in ACTIVATIONS:
        raise SpecError(f"expected activation to be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]


activation_named = activation


class Activation(Recorded, nn.Module):
    """Activation function as a layer.

    Args:
        name: Name of the activation function.

    Raises:
        SpecError: The name is unknown.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.function = activation(name)

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of each entry of x."""
        return self.function(x)


class Constant(Recorded, nn.Module):
    """Network without inputs: a learned vector, repeated for every row.

    Args:
        outputs: Length of the vector.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the vector for each row: (B, any length) -> (B, outputs)."""
        return self.value.expand(x.shape[0], -1)


class MLP(Network):
    """Fully connected network, h -> act(W h + b); residual networks add the input of every second layer back.

    The context is concatenated to the input. The last layer starts at zero. A scalar map that is the identity for zero
    parameters therefore starts as the identity.

    Args:
        inputs: Length of x; may be 0 if there is a context.
        outputs: Length of the result.
        hidden: Widths of the hidden layers; for a residual network an odd number of equal widths.
        context: Length of the context, 0 for none.
        residual: Whether h_(l+2) = h_l + W act(W act(h_l)) (He et al. 2016, pre-activation).
        activation: Name of the activation function.
        dropout: Probability in [0, 1) of dropping a hidden unit in training.
        zero: Whether the last layer starts at zero.
        last_activation: Whether the activation is also applied before the last layer.

    Raises:
        SpecError: There is no hidden layer, a residual network has unequal widths or an even number of layers, or the
            activation is unknown.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        residual: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
        zero: bool = True,
        last_activation: bool = True,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual)
        self.residual, self.context, self.last_activation = residual, context, last_activation
        self.activation = activation
        activation_named(activation)
        widths = [inputs + context, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.out = nn.Linear(widths[-1], outputs)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        if zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def compute(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the result: x (B, inputs), context (B, context) or None -> (B, outputs)."""
        h = x if context is None or not self.context else torch.cat([x, context], -1)
        act, last = ACTIVATIONS[self.activation], self.last_activation
        return self.out(through(self.hidden, h, act, self.dropout, residual=self.residual, last_activation=last))


def head(inputs: int, outputs: int, hidden: Sequence[int], activation: str = "relu") -> nn.Module:
    """Return a network whose result starts at zero: an `MLP`, or a linear map if there are no hidden layers."""
    if hidden:
        return MLP(inputs, outputs, hidden=hidden, activation=activation)
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(linear.weight)
    return linear


class Parameters(nn.Module):
    """Learned parameters that may depend on a context: learned values plus, with a context, a network's result.

    Args:
        start: Starting values, (*shape).
        context: Length of the context, 0 for none.
        hidden: Widths of the hidden layers of the network; an empty tuple gives a linear map.
        activation: Activation function of the network.
    """

    def __init__(self, start: Tensor, context: int = 0, hidden: Sequence[int] = (), activation: str = "relu") -> None:
        super().__init__()
        self.free = nn.Parameter(start)
        self.net = head(context, start.numel(), hidden, activation) if context else None

    def forward(self, context: Tensor | None = None) -> Tensor:
        """Return the parameters: context (B, context) -> (B, *shape); (1, *shape) without a context."""
        if self.net is None:
            return self.free.unsqueeze(0)
        return self.free + self.net(context).unflatten(-1, self.free.shape)


def through(
    layers: Iterable[nn.Module],
    h: Tensor,
    act: Callable[[Tensor], Tensor],
    dropout: nn.Module | None,
    *,
    residual: bool,
    added: Tensor | None = None,
    last_activation: bool = True,
) -> Tensor:
    """Return the result of the hidden layers, plain or residual; `added` is added to the result of the first layer.

    The last layer may be left without an activation.
    """
    skip, layers = None, list(layers)
    for i, layer in enumerate(layers):
        raw = layer(h)
        if i == 0 and added is not None:
            raw = raw + added
        if residual and i % 2 == 0:
            raw = raw if skip is None else raw + skip
            skip = raw
        if i + 1 == len(layers) and not last_activation:
            return raw
        # If nothing else needs the pre-activation, relu overwrites it, which saves memory.
        h = torch.relu_(raw) if act is F.relu and raw is not skip else act(raw)
        if dropout is not None:
            h = dropout(h)
    return h


def check_hidden(hidden: Sequence[int], residual: object) -> None:
    """Check the widths of the hidden layers.

    Raises:
        SpecError: The widths do not fit, see `MLP`.
    """
    if not hidden or any(h < 1 for h in hidden):
        raise SpecError(f"expected hidden widths >= 1, at least one, got {tuple(hidden)}")
    if residual and (len(set(hidden)) > 1 or len(hidden) % 2 == 0):
        raise SpecError(f"expected an odd number of equal hidden widths for a residual network, got {tuple(hidden)}")
