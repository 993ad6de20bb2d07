"""Distribution function and quantiles of Student's t, with gradients also in the degrees of freedom.

With x = sqrt(v) cot(a), 0 < a < pi / 2, the upper tail is an integral over an angle:

    S(x) = c ∫_0^a sin^(v - 1)(t) dt,    c = Gamma((v + 1) / 2) / (sqrt(pi) Gamma(v / 2))

The substitution t = a q^3 turns the end point into a zero of order 3 v - 1 >= 5, so a Gauss-Legendre rule in q has a relative
error near rounding, far in the tail too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NODES = 80
GRID = 200
FARTHEST = 1e-14
"""Smallest tail probability of a quantile."""


def _gauss_legendre(count: int) -> tuple[list[float], list[float]]:
    """Return nodes and weights on [-1, 1], from the eigenvalues of the recurrence (Golub and Welsch 1969)."""
    k = torch.arange(1, count, dtype=torch.float64)
    beside = k / (4 * k * k - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return nodes.tolist(), (2 * vectors[0].square()).tolist()


_POINTS, _WEIGHTS = _gauss_legendre(NODES)


def log_constant(df: Tensor) -> Tensor:
    """Return log Gamma((v + 1) / 2) - log Gamma(v / 2) - log(pi) / 2."""
    return torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * math.log(math.pi)


def student_log_density(x: Tensor, df: Tensor) -> Tensor:
    """Return the log-density of Student's t at x (...)."""
    return log_constant(df) - 0.5 * df.log() - (df + 1) / 2 * torch.log1p(x.square() / df)


def _log_tail(log_angle: Tensor, df: Tensor) -> Tensor:
    """Return log S as a function of log a, (...) -> (...)."""
    nodes = (torch.tensor(_POINTS, dtype=log_angle.dtype, device=log_angle.device) + 1) / 2
    weights = torch.tensor(_WEIGHTS, dtype=log_angle.dtype, device=log_angle.device) / 2
    angle = log_angle.exp()
    q = nodes**3
    # sin(a q^3) / (a q^3) is near 1, and the power of a is taken out of the integral.
    ratio = torch.sinc(angle.unsqueeze(-1) * q / math.pi).clamp_min(1e-30)
    inner = ((df - 1) * ratio.log() + ((3 * df - 1) * nodes.log() + (3 * weights).log())).logsumexp(-1)
    return log_constant(df) + df * log_angle + inner


def student_cdf(x: Tensor, df: Tensor) -> Tensor:
    """Return P(X <= x) for x (...) and degrees of freedom v >= 2, a tensor without dimensions."""
    tail = _log_tail(torch.atan2(df.sqrt(), x.abs()).log(), df).exp()
    return torch.where(x > 0, 1 - tail, tail)


def student_quantile(u: Tensor, df: Tensor) -> Tensor:
    """Return the quantile of probabilities u (...) for v >= 2, a tensor without dimensions; see `FARTHEST`.

    log S is nearly linear in log a. A table gives the start, two Newton steps the root, and a third one its gradient.
    """
    log_tail = torch.minimum(u, 1 - u).clamp(FARTHEST, 0.5).log()
    with torch.no_grad():
        least = (math.log(FARTHEST) - log_constant(df)) / df - 1
        steps = torch.linspace(0, 1, GRID, dtype=u.dtype, device=u.device)
        grid = least + (math.log(math.pi / 2) - least) * steps
        table = _log_tail(grid, df)
        at = torch.searchsorted(table, log_tail.contiguous()).clamp(1, GRID - 1)
        part = (log_tail - table[at - 1]) / (table[at] - table[at - 1])
        log_angle = grid[at - 1] + part * (grid[at] - grid[at - 1])
    for step in range(3):
        with torch.set_grad_enabled(torch.is_grad_enabled() and step == 2):
            angle = log_angle.exp()
            value = _log_tail(log_angle, df)
            # d log S / d log a = c a sin^(v - 1)(a) / S.
            slope = (log_constant(df) + log_angle + (df - 1) * torch.sin(angle).log() - value).exp().detach()
            log_angle = (log_angle - (value - log_tail) / slope).clamp_max(math.log(math.pi / 2))
    x = df.sqrt() / torch.tan(log_angle.exp())
    return torch.where(u > 0.5, x, -x)
