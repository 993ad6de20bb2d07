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
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation function of that name.

    Raises:
        SpecError: there is none.
    """
    if name not in ACTIVATIONS:
        raise SpecError(f"unknown activation {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


activation_named = activation


class Activation(Recorded, nn.Module):
    """The activation of that name, as a layer.

    Args:
        name: Name of the function.

    Raises:
        SpecError: there is none.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.function = activation(name)

    def forward(self, x: Tensor) -> Tensor:
        """Entry by entry."""
        return self.function(x)


class Constant(Recorded, nn.Module):
    """A network without inputs: a learned vector, repeated for every row.

    Args:
        outputs: its length.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, anything) -> (B, outputs)."""
        return self.value.expand(x.shape[0], -1)


class MLP(Network):
    """Linear layers and activations: h -> act(W h + b); residual ones add the input of every second layer back.

    The context is concatenated to the input. The last layer starts at zero, so that a scalar map whose zero parameters
    are the identity starts as the identity.

    Args:
        inputs: length of x; may be 0 when there is a context.
        outputs: length of the result.
        hidden: widths of the hidden layers; all equal, and an odd number of them, when residual.
        context: length of the context, 0 for none.
        residual: h_(l+2) = h_l + W act(W act(h_l)) (He et al. 2016, pre-activation).
        activation: name of it.
        dropout: probability of dropping a hidden unit while training.
        zero: whether the last layer starts at zero.

    Raises:
        SpecError: no hidden layer, unequal widths or an even number of layers when residual, an unknown activation.
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
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual)
        self.residual, self.context = residual, context
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
        """(B, inputs), (B, context) or None -> (B, outputs)."""
        h = x if context is None or not self.context else torch.cat([x, context], -1)
        return self.out(through(self.hidden, h, ACTIVATIONS[self.activation], self.dropout, residual=self.residual))


def head(inputs: int, outputs: int, hidden: Sequence[int], activation: str = "relu") -> nn.Module:
    """A network whose result starts at zero: an `MLP`, or without hidden layers a matrix."""
    if hidden:
        return MLP(inputs, outputs, hidden=hidden, activation=activation)
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(linear.weight)
    return linear


class Parameters(nn.Module):
    """Numbers that are learned, or made from a context: the same start, plus what a network makes of the context.

    Args:
        start: Starting values, (*shape).
        context: length of the context, 0 for none.
        hidden: widths of the network's hidden layers; none for a matrix.
        activation: Activation function of the network.
    """

    def __init__(self, start: Tensor, context: int = 0, hidden: Sequence[int] = (), activation: str = "relu") -> None:
        super().__init__()
        self.free = nn.Parameter(start)
        self.net = head(context, start.numel(), hidden, activation) if context else None

    def forward(self, context: Tensor | None = None) -> Tensor:
        """(B, context) -> (B, *shape); (1, *shape) without a context."""
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
) -> Tensor:
    """The hidden layers of a network, plain or residual; `added` joins what the first layer gives."""
    skip = None
    for i, layer in enumerate(layers):
        raw = layer(h)
        if i == 0 and added is not None:
            raw = raw + added
        if residual and i % 2 == 0:
            raw = raw if skip is None else raw + skip
            skip = raw
        # Where nothing else needs what the layer gave, relu takes its place: less memory to fetch.
        h = torch.relu_(raw) if act is F.relu and raw is not skip else act(raw)
        if dropout is not None:
            h = dropout(h)
    return h


def check_hidden(hidden: Sequence[int], residual: object) -> None:
    """Refuse hidden widths that cannot be built.

    Raises:
        SpecError: see `MLP`.
    """
    if not hidden or any(h < 1 for h in hidden):
        raise SpecError(f"expected hidden widths >= 1, at least one, got {tuple(hidden)}")
    if residual and (len(set(hidden)) > 1 or len(hidden) % 2 == 0):
        raise SpecError(f"expected an odd number of equal hidden widths for a residual network, got {tuple(hidden)}")
