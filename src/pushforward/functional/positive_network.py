"""Integrals of positive networks by Clenshaw-Curtis quadrature (Wehenkel and Louppe 2019, arXiv:1908.05164).

The network has one number t as its input and is the exponential of a bounded one:

    h_k(t) = tanh(a_k (t - c_k)),    h' = tanh(W h + b),    log g(t) = s + sum_k v_k h'_k(t)

The image is z = shift + x sum_q w_q g(x t_q), with nodes t_q and weights w_q of the rule on [0, 1]. One node is t = 1, so
log g(x) comes with the sum. The log-slope is log g(x), the derivative of the exact integral. It differs from the derivative of
the sum by the error of the rule, which falls geometrically with the number of nodes, the faster the farther the singularities
of g are from the real line. Bounds of the rates a and of the norms of v and of the rows of W keep them away.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .bounds import soft_clip
from .hand_gradients import Pair

RATE, NORM, SCALE = 2.0, 2.0, 4.0
"""Upper bounds of |a|, of the norms of v and of the rows of W, and of |s|."""


def network_parameters(width: int, layers: int) -> int:
    """Return the number of free parameters of a network with one or two hidden layers, with the shift of the image."""
    return 3 * width + (width * width + width) * (layers - 1) + 2


def integrated_network(x: Tensor, p: Tensor, width: int, layers: int, nodes: int, bound: float) -> Pair:
    """Return the integral from 0 to x of the network, plus a shift, and the log of the network at x, both (...).

    Args:
        x: Real numbers (...).
        p: Free parameters (..., n), with n of `network_parameters`; p = 0 gives g = 1.
        width: Number of units K of each hidden layer.
        layers: Number of hidden layers, 1 or 2.
        nodes: Even number of intervals between the nodes of the rule.
        bound: Half-width of the interval on which the units' centres c are evenly spaced at p = 0.
    """
    options = {"dtype": x.dtype, "device": x.device}
    square = width * width * (layers - 1)
    rates, centres, out, mixing, biases, scale, shift = p.split(
        [width, width, width, square, width * (layers - 1), 1, 1], -1
    )
    at, weights = (rule.to(x.dtype) for rule in clenshaw_curtis(nodes, x.device))
    centres = torch.linspace(-bound, bound, width, **options) + centres  # type: ignore[call-overload]
    t = (x.unsqueeze(-1) * at).unsqueeze(-2)
    h = torch.tanh(soft_clip(rates + 1, RATE).unsqueeze(-1) * (t - centres.unsqueeze(-1)))
    if layers > 1:
        rows = _in_ball(mixing.unflatten(-1, (width, width)) + torch.eye(width, **options))  # type: ignore[call-overload]
        h = torch.tanh(rows @ h + biases.unsqueeze(-1))
    log_g = (_in_ball(out).unsqueeze(-2) @ h).squeeze(-2) + soft_clip(scale, SCALE)
    return shift.squeeze(-1) + x * (log_g.exp() * weights).sum(-1), log_g[..., 0]


def _in_ball(v: Tensor) -> Tensor:
    """Return vectors along the last dimension, moved smoothly into the ball of radius NORM."""
    return v * torch.rsqrt(1 + v.square().sum(-1, keepdim=True) / NORM**2)


def clenshaw_curtis(intervals: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Return nodes and weights on [0, 1] of the rule that is exact for polynomials of degree `intervals`, in float64.

    With 2 t - 1 = cos(theta) an interpolant is a sum of cosines; that of frequency 2 k has the integral 1 / (1 - 4 k^2), and
    those of odd frequencies have none (Clenshaw and Curtis 1960).

    Args:
        intervals: Even number of intervals between the nodes; the first node is 1 and the last one 0.
        device: Device of the results.
    """
    theta = torch.arange(intervals + 1, dtype=torch.float64, device=device) * (math.pi / intervals)
    k = torch.arange(1, intervals // 2 + 1, dtype=torch.float64, device=device)
    # The first and the last of the cosines and of the nodes count half.
    each = torch.where(2 * k == intervals, 1.0, 2.0) / (4 * k.square() - 1)
    weights = (1 - torch.cos(2 * theta[:, None] * k) @ each) / intervals
    ends = (theta == 0) | (theta == theta[-1])
    return (1 + theta.cos()) / 2, torch.where(ends, weights / 2, weights)
