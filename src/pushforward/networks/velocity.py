"""Velocity networks v(t, x): layers that know the time, and directional derivatives of the whole along given directions.

A time layer is affine in what it is given, with a weight and a shift made of the time and of the context:

    concat     W h + w t + b
    squash     (W h + b) sigmoid(g(t)) + s(t)               (Grathwohl et al. 2019, arXiv:1810.01367, appendix B.2)
    hyper      W(t) h + b(t), made by a small network of t

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
"""The linear part of an affine map: directions (K, B, n) -> (K, B, m)."""


class Concat(nn.Module):
    """h -> W h + V (t, c) + b.

    Args:
        inputs: n.
        outputs: m.
        context: length of c.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, outputs)
        self.given = nn.Linear(1 + context, outputs, bias=False)

    def forward(self, given: Tensor, h: Tensor, t: Tensor) -> tuple[Tensor, Linear]:
        """(B, 1 + context), (B, n), t () or (B, 1) -> (B, m), and the linear part."""
        return self.inner(h) + self.given(given), lambda directions: directions @ self.inner.weight.mT


class Squash(nn.Module):
    """h -> (W h + b) sigmoid(G (t, c) + g) + S (t, c).

    Args:
        inputs: n.
        outputs: m.
        context: length of c.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(1 + context, outputs)
        self.shift = nn.Linear(1 + context, outputs, bias=False)

    def forward(self, given: Tensor, h: Tensor, t: Tensor) -> tuple[Tensor, Linear]:
        """(B, 1 + context), (B, n), t () or (B, 1) -> (B, m), and the linear part."""
        gate = self.gate(given).sigmoid()
        value = torch.addcmul(self.shift(given), self.inner(h), gate)
        return value, lambda directions: (directions @ self.inner.weight.mT) * gate


class Hyper(nn.Module):
    """h -> (W + N(t)) h + V c + b(t), N and b made by tanh layers of the time.

    Args:
        inputs: n.
        outputs: m.
        context: length of c.
        hidden: width of the network of the time.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0, hidden: int = 16) -> None:
        super().__init__()
        self.inner = nn.Linear(inputs, outputs)
        self.made = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, outputs * (inputs + 1)))
        self.given = nn.Linear(context, outputs, bias=False) if context else None

    def forward(self, given: Tensor, h: Tensor, t: Tensor) -> tuple[Tensor, Linear]:
        """(B, 1 + context), (B, n), t () or (B, 1) -> (B, m), and the linear part."""
        # One matrix for all rows when they share the time.
        made = self.made(t.to(h.dtype).reshape(-1, 1)).unflatten(1, (self.inner.out_features, -1))
        weight = self.inner.weight + made[..., :-1]
        value = (weight @ h.unsqueeze(-1)).squeeze(-1) + self.inner.bias + made[..., -1]
        value = value if self.given is None else value + self.given(given[:, 1:])
        return value, lambda directions: (weight @ directions.unsqueeze(-1)).squeeze(-1)


_LAYERS: dict[str, type[nn.Module]] = {"concat": Concat, "squash": Squash, "hyper": Hyper}


Rates = tuple[Tensor, Tensor, dict[str, Tensor]]
"""A velocity (B, *E), its divergence (B,), and by name what penalties add up along the path, each (B,)."""


class Velocity(Recorded, nn.Module):
    """A velocity of your own: subclasses write `forward`; derivatives come from torch's forward mode.

    Events may have any shape; here and below, E stands for it.
    """

    penalties: tuple[str, ...] = ("energy", "jacobian")
    """Names of what `rates` reports: |v|^2 / 2, and the squared norm of the Jacobian."""

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """T, x (B, *E), context (B, C) or None -> v (B, *E); t is (), and (B, 1, ...) for flow matching."""
        raise NotImplementedError

    def along(self, t: Tensor, x: Tensor, directions: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The velocity, and its derivative along directions.

        Args:
            t: ().
            x: (B, *E).
            directions: (K, B, *E).
            context: (B, C) or None.

        Returns:
            v (B, *E) and J e for each direction e, (K, B, *E).
        """

        def derivative(direction: Tensor) -> tuple[Tensor, Tensor]:
            return torch.func.jvp(lambda y: self(t, y, context), (x,), (direction,))  # type: ignore[return-value]

        return torch.func.vmap(derivative, out_dims=(None, 0))(directions)  # type: ignore[arg-type]

    def rates(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Rates:
        """The velocity with its exact divergence: D derivatives, one along each coordinate, D the size of E."""
        size = math.prod(x.shape[1:])
        basis = torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, 1, *x.shape[1:])
        return self.probed(t, x, basis.expand(size, *x.shape), context)

    def probed(self, t: Tensor, x: Tensor, probes: Tensor, context: Tensor | None = None) -> Rates:
        """The velocity with sum_k e_k J e_k for probes e: the divergence for a basis.

        It is K times an unbiased estimate of it for K random probes of mean zero and covariance one (Hutchinson 1990),
        and so is the sum of |J e_k|^2 for the squared norm of the Jacobian.

        Args:
            t: ().
            x: (B, *E).
            probes: (K, B, *E).
            context: (B, C) or None.
        """
        v, moved = self.along(t, x, probes, context)
        divergence = (probes * moved).transpose(0, 1).flatten(1).sum(1)
        norm = moved.transpose(0, 1).flatten(1).square().sum(1)
        return v, divergence, {"energy": v.flatten(1).square().sum(1) / 2, "jacobian": norm}


class VelocityMLP(Velocity):
    """Time layers and an activation between: v(t, x, c), with its derivatives in closed form.

    Args:
        features: D, of x and of the velocity.
        hidden: widths of the hidden layers.
        context: length of c, 0 for none.
        layer: "concat", "squash" or "hyper".
        activation: "tanh", "softplus", "silu" or "selu".
        zero: whether the last layer's weights start at zero, so that nothing moves at first.

    Raises:
        SpecError: no hidden layer, an unknown kind of layer or activation.
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
            raise SpecError(f"unknown time layer {layer!r}; known: {', '.join(_LAYERS)}")
        if activation not in SLOPES:
            raise SpecError(f"unknown activation {activation!r} of a velocity; known: {', '.join(SLOPES)}")
        self.activation = activation
        widths = [features, *hidden, features]
        self.layers = nn.ModuleList(_LAYERS[layer](a, b, context) for a, b in pairwise(widths))
        if zero:
            for p in self.layers[-1].inner.parameters():  # type: ignore[union-attr]
                nn.init.zeros_(p)

    def _given(self, t: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        time = t.to(x.dtype).expand(x.shape[0], 1)  # one for all, or one for each
        return time if context is None else torch.cat([time, context], 1)

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return v (B, D) for t () or (B, 1), x (B, D) and the context (B, C) or None."""
        given = self._given(t, x, context)
        act, _ = SLOPES[self.activation]
        for layer in self.layers[:-1]:
            x = act(layer(given, x, t)[0])
        return self.layers[-1](given, x, t)[0]

    def along(self, t: Tensor, x: Tensor, directions: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `Velocity.along`: every layer's linear part, and the activations' slopes."""
        given = self._given(t, x, context)
        act, slope = SLOPES[self.activation]
        for layer in self.layers[:-1]:
            raw, linear = layer(given, x, t)
            x = act(raw)
            directions = linear(directions) * slope(raw, x)
        x, linear = self.layers[-1](given, x, t)
        return x, linear(directions)


def _selu_slope(raw: Tensor, value: Tensor) -> Tensor:
    scale, alpha = 1.0507009873554804, 1.6732632423543772
    return torch.where(raw > 0, scale, value + scale * alpha)


def _silu_slope(raw: Tensor, value: Tensor) -> Tensor:
    gate = raw.sigmoid()
    return gate + value * (1 - gate)


SLOPES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "tanh": (torch.tanh, lambda raw, value: 1 - value.square()),
    "softplus": (nn.functional.softplus, lambda raw, value: raw.sigmoid()),
    "silu": (nn.functional.silu, _silu_slope),
    "selu": (nn.functional.selu, _selu_slope),
}
"""Activations, and their derivatives given what went in and what came out."""
