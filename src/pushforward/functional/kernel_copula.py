"""Kernel pair copula: a density on a grid that is bilinear between its nodes and has uniform margins.

The nodes are Phi(-3.5), ..., Phi(3.5) at even steps of the normal score, and 0 and 1. The values come from a kernel estimate
on normal scores, the transformation estimator (Geenens, Charpentier and Paindaveine 2017, arXiv:1404.4414), and are scaled so
that both margins are uniform (Sinkhorn 1964). Between nodes the density is linear in v, so h(v | u) is a quadratic function.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NODES = 30
"""Number of nodes of the grid along each axis."""
ROUNDS = 200
_SCORES = torch.linspace(-3.5, 3.5, NODES - 2, dtype=torch.float64)
_PLACES = [0.0, *torch.special.ndtr(_SCORES).tolist(), 1.0]


def nodes_like(x: Tensor) -> Tensor:
    """Return the nodes as a tensor, (NODES,), in float64 on the device of x."""
    return torch.tensor(_PLACES, dtype=torch.float64, device=x.device)


def trapezoid(nodes: Tensor) -> Tensor:
    """Return the weights of the trapezoidal rule, which integrates piecewise linear functions exactly."""
    steps = nodes.diff()
    return (torch.nn.functional.pad(steps, (1, 0)) + torch.nn.functional.pad(steps, (0, 1))) / 2


def with_uniform_margins(grid: Tensor) -> Tensor:
    """Return the grid (NODES, NODES) scaled along rows and columns until both margins are uniform."""
    weights = trapezoid(nodes_like(grid))
    for _ in range(ROUNDS):
        grid = grid / (grid @ weights)[:, None]
        grid = grid / (weights @ grid)[None, :]
    return grid


def kernel_fit(u: Tensor, v: Tensor) -> tuple[Tensor, float]:
    """Return the grid of the kernel estimate, and its effective number of parameters.

    The bandwidth matrix is n^(-1/3) times the covariance of the normal scores, shrunk towards the mean so that the estimate
    keeps their covariance. The number of parameters is that of a linear smoother, the sum of the influences of the rows.

    Args:
        u: First numbers in float64, (n,).
        v: Second numbers, (n,).
    """
    scores = torch.special.ndtri(torch.stack([u, v], 1))
    n = len(scores)
    covariance = torch.cov(scores.mT)
    band = n ** (-1 / 3)
    shrunk = scores / math.sqrt(1 + band)
    factor = torch.linalg.cholesky(covariance * band / (1 + band) + 1e-9 * torch.eye(2, dtype=u.dtype, device=u.device))
    nodes = nodes_like(u)
    axis = torch.special.ndtri(nodes.clamp(1e-5, 1 - 1e-5))
    places = torch.cartesian_prod(axis, axis)
    at, centres = (torch.linalg.solve_triangular(factor, part.mT, upper=False).mT for part in (places, shrunk))
    height = 1 / (2 * math.pi * factor.diagonal().prod())
    density = torch.cat([(-0.5 * torch.cdist(part, centres).square()).exp().mean(1) for part in at.split(128)]) * height
    normal = (-0.5 * places.square().sum(1)).exp() / (2 * math.pi)
    grid = with_uniform_margins((density / normal).clamp_min(1e-6).view(NODES, NODES))
    here = kernel_log_density(grid, u, v).exp() * (-0.5 * scores.square().sum(1)).exp() / (2 * math.pi)
    return grid, float((height / (n * here.clamp_min(1e-9))).clamp_max(1).sum())


def _column(grid: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return the density along v at each u, (N, NODES), normalised, and the integrals up to each node."""
    nodes = nodes_like(u)
    at = torch.searchsorted(nodes, u.contiguous(), right=True).clamp(1, NODES - 1)
    part = ((u - nodes[at - 1]) / (nodes[at] - nodes[at - 1])).unsqueeze(-1)
    values = grid[at - 1] * (1 - part) + grid[at] * part
    masses = (values[:, 1:] + values[:, :-1]) / 2 * nodes.diff()
    total = masses.sum(-1, keepdim=True)
    return values / total, torch.nn.functional.pad((masses / total).cumsum(-1), (1, 0))


def _cell(nodes: Tensor, values: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lower node, the density there and its slope, in the cell that ends at node `at`."""
    low = nodes[at - 1]
    first, second = (values.gather(-1, i.unsqueeze(-1))[:, 0] for i in (at - 1, at))
    return low, first, (second - first) / (nodes[at] - low)


def kernel_log_density(grid: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return log c(u, v), bilinear in (u, v): grid (NODES, NODES), u and v (N,) -> (N,)."""
    values, _ = _column(grid, u)
    nodes = nodes_like(u)
    at = torch.searchsorted(nodes, v.contiguous(), right=True).clamp(1, NODES - 1)
    low, first, slope = _cell(nodes, values, at)
    return (first + slope * (v - low)).log()


def kernel_h(grid: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """Return h(v | u), the integral of the density along v."""
    values, below = _column(grid, u)
    nodes = nodes_like(u)
    at = torch.searchsorted(nodes, v.contiguous(), right=True).clamp(1, NODES - 1)
    low, first, slope = _cell(nodes, values, at)
    t = v - low
    return below.gather(-1, (at - 1).unsqueeze(-1))[:, 0] + t * (first + slope * t / 2)


def kernel_h_inverse(grid: Tensor, w: Tensor, u: Tensor) -> Tensor:
    """Return the v with h(v | u) = w, the root of a quadratic function in one cell."""
    values, below = _column(grid, u)
    nodes = nodes_like(u)
    at = torch.searchsorted(below.contiguous(), w.unsqueeze(-1).contiguous(), right=True)[:, 0].clamp(1, NODES - 1)
    low, first, slope = _cell(nodes, values, at)
    mass = w - below.gather(-1, (at - 1).unsqueeze(-1))[:, 0]
    # first t + slope t^2 / 2 = mass, in the form without cancellation.
    root = (first.square() + 2 * slope * mass).clamp_min(1e-300).sqrt()
    return low + 2 * mass / (first + root)
