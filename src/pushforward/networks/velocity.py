"""Velocity networks v(t, x): layers that take the time as input, and derivatives of the network along directions.

A time layer is affine in its input h, with a weight and a shift that depend on the time and the context:

    concat     W h + w t + b
    squash     (W h + b) sigmoid(g(t)) + s(t)               (Grathwohl et al. 2019, arXiv:1810.01367, appendix B.2)
    hyper      W(t) h + b(t), where a small network of t computes W and b

with g and s affine in (t, context).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import SpecError
from ..recording import Recorded

TimeLayer = Literal["concat", "squash", "hyper"]
Linear = Callable[[Tensor], Tensor]
"""Linear part of an affine map: directions (K, B, n) -> (K, B, m)."""


class Concat(nn.Module):
    """Time layer h -> W h + V (t, c) + b.

    Args:
        inputs: Length n of h.
        outputs: Length m of the result.
        context: Length of the context c, 0 for none.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, outputs)
        self.given = nn.Linear(1 + context, outputs, bias=False)

    def forward(self, given: Tensor, h: Tensor, t: Tensor) -> tuple[Tensor, Linear]:
        """Return the result (B, m) and the linear part, from (t, c) (B, 1 + context), h (B, n) and t () or (B, 1)."""
        return self.inner(h) + self.given(given), lambda directions: directions @ self.inner.weight.mT


class Squash(nn.Module):
    """Time layer h -> (W h + b) sigmoid(G (t, c) + g) + S (t, c).

    Args:
        inputs: Length n of h.
        outputs: Length m of the result.
        context: Length of the context c, 0 for none.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(1 + context, outputs)
        self.shift = nn.Linear(1 + context, outputs, bias=False)

    def forward(self, given: Tensor, h: Tensor, t: Tensor) -> tuple[Tensor, Linear]:
        """Return the result (B, m) and the linear part, from (t, c) (B, 1 + context), h (B, n) and t () or (B, 1)."""
        gate = self.gate(given).sigmoid()
        value = torch.addcmul(self.shift(given), self.inner(h), gate)
        return value, lambda directions: (directions @ self.inner.weight.mT) * gate


class Hyper(nn.Module):
    """Time layer h -> (W + N(t)) h + V c + b(t), where a tanh network of t computes N and b.

    Args:
        inputs: Length n of h.
        outputs: Length m of the result.
        context: Length of the context c, 0 for none.
        hidden: Width of the hidden layer of the network of t.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0, hidden: int = 16) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, outputs)
        self.made = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, outputs * (inputs + 1)))
        self.given = nn.Linear(context, outputs, bias=False) if context else None

    def forward(self, given: Tensor, h: Tensor, t: Tensor) -> tuple[Tensor, Linear]:
        """Return the result (B, m) and the linear part, from (t, c) (B, 1 + context), h (B, n) and t () or (B, 1)."""
        # If all rows share the time, one matrix serves all of them.
        made = self.made(t.to(h.dtype).reshape(-1, 1)).unflatten(1, (self.inner.out_features, -1))
        weight = self.inner.weight + made[..., :-1]
        value = (weight @ h.unsqueeze(-1)).squeeze(-1) + self.inner.bias + made[..., -1]
        value = value if self.given is None else value + self.given(given[:, 1:])
        return value, lambda directions: (weight @ directions.unsqueeze(-1)).squeeze(-1)


_LAYERS: dict[str, type[nn.Module]] = {"concat": Concat, "squash": Squash, "hyper": Hyper}


Rates = tuple[Tensor, Tensor, dict[str, Tensor]]
"""Velocity (B, *E), its divergence (B,), and the integrands of penalties by name, each (B,)."""


class Velocity(Recorded, nn.Module):
    """Base class of velocities: subclasses implement `forward`, and torch's forward mode gives the derivatives.

    Subclass it for your own velocity.

    Events may have any shape, written E here and below.
    """

    penalties: tuple[str, ...] = ("energy", "jacobian")
    """Names of the penalties that `rates` reports: |v|^2 / 2, and the squared norm of the Jacobian."""

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return v (B, *E) at time t, () or (B, 1, ...), for x (B, *E) and context (B, C) or None."""
        raise NotImplementedError

    def along(self, t: Tensor, x: Tensor, directions: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the velocity and its derivatives along some directions.

        Args:
            t: Time, ().
            x: Points, (B, *E).
            directions: Directions e, (K, B, *E).
            context: Context of shape (B, C), or None.

        Returns:
            Velocity v (B, *E), and J e for each direction e, (K, B, *E).
        """

        def derivative(direction: Tensor) -> tuple[Tensor, Tensor]:
            return torch.func.jvp(lambda y: self(t, y, context), (x,), (direction,))  # type: ignore[return-value]

        return torch.func.vmap(derivative, out_dims=(None, 0))(directions)  # type: ignore[arg-type]

    def rates(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Rates:
        """Return the velocity and its exact divergence, from D derivatives along all coordinates, D the size of E."""
        size = math.prod(x.shape[1:])
        # With unit vectors e_k the sum of e_k^T J e_k is the trace of J, and that of |J e_k|^2 its squared norm.
        basis = torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, 1, *x.shape[1:])
        return self.probed(t, x, basis.expand(size, *x.shape), context)

    def probed(self, t: Tensor, x: Tensor, probes: Tensor, context: Tensor | None = None) -> Rates:
        """Return the velocity and sum_k e_k^T J e_k for probes e_k, which is the divergence if they form a basis.

        For K random probes of mean zero and covariance one it is K times an unbiased estimate of the divergence
        (Hutchinson 1990), and the sum of |J e_k|^2 is K times an estimate of the squared norm of the Jacobian.

        Args:
            t: Time, ().
            x: Points, (B, *E).
            probes: Probes, (K, B, *E).
            context: Context of shape (B, C), or None.
        """
        v, moved = self.along(t, x, probes, context)
        divergence = (probes * moved).transpose(0, 1).flatten(1).sum(1)
        norm = moved.transpose(0, 1).flatten(1).square().sum(1)
        return v, divergence, {"energy": v.flatten(1).square().sum(1) / 2, "jacobian": norm}


class VelocityMLP(Velocity):
    """Velocity network v(t, x, c) of time layers and activations, with its derivatives in closed form.

    Args:
        features: Length D of x and of the velocity.
        hidden: Widths of the hidden layers.
        context: Length of the context c, 0 for none.
        layer: Kind of time layer: "concat", "squash" or "hyper".
        activation: Activation function: "tanh", "softplus", "silu" or "selu".
        zero: Whether the last layer's weights start at zero, which makes the initial velocity constant in x.

    Raises:
        SpecError: There is no hidden layer, or the kind of layer or the activation is unknown.
    """

    def __init__(
        self,
        features: int,
        *,
        hidden: Sequence[int] = (64, 64, 64),
        context: int = 0,
        layer: TimeLayer = "squash",
        activation: str = "tanh",
        zero: bool = False,
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise SpecError(f"expected hidden widths >= 1, at least one, got {tuple(hidden)}")
        if layer not in _LAYERS:
            raise SpecError(f"expected layer to be one of {', '.join(_LAYERS)}, got {layer!r}")
        if activation not in SLOPES:
            raise SpecError(f"expected activation to be one of {', '.join(SLOPES)}, got {activation!r}")
        self.activation = activation
        widths = [features, *hidden, features]
        self.layers = nn.ModuleList(_LAYERS[layer](a, b, context) for a, b in pairwise(widths))
        if zero:
            for p in self.layers[-1].inner.parameters():  # type: ignore[union-attr]
                nn.init.zeros_(p)

    def _given(self, t: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        time = t.to(x.dtype).expand(x.shape[0], 1)  # one time for all rows, or one for each
        return time if context is None else torch.cat([time, context], 1)

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return v (B, D) for t () or (B, 1), x (B, D) and the context (B, C) or None."""
        given = self._given(t, x, context)
        act, _ = SLOPES[self.activation]
        for layer in self.layers[:-1]:
            x = act(layer(given, x, t)[0])
        return self.layers[-1](given, x, t)[0]

    def along(self, t: Tensor, x: Tensor, directions: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the velocity and its derivatives along directions, from each layer's linear part and activation slope."""
        given = self._given(t, x, context)
        act, slope = SLOPES[self.activation]
        for layer in self.layers[:-1]:
            raw, linear = layer(given, x, t)
            x = act(raw)
            # Chain rule: the layer's linear part, then the diagonal Jacobian of the activation.
            directions = linear(directions) * slope(raw, x)
        x, linear = self.layers[-1](given, x, t)
        return x, linear(directions)


def _selu_slope(raw: Tensor, value: Tensor) -> Tensor:
    scale, alpha = 1.0507009873554804, 1.6732632423543772
    # For raw <= 0 the value is s a (exp(raw) - 1), whose derivative s a exp(raw) is the value plus s a.
    return torch.where(raw > 0, scale, value + scale * alpha)


def _silu_slope(raw: Tensor, value: Tensor) -> Tensor:
    gate = raw.sigmoid()
    # d/dr r g(r) = g + r g (1 - g) with g = sigmoid(r), and the value is r g.
    return gate + value * (1 - gate)


SLOPES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "tanh": (torch.tanh, lambda raw, value: 1 - value.square()),
    "softplus": (nn.functional.softplus, lambda raw, value: raw.sigmoid()),
    "silu": (nn.functional.silu, _silu_slope),
    "selu": (nn.functional.selu, _selu_slope),
}
"""Activation functions, and their derivatives as functions of input and output."""
