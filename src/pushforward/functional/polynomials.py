"""Increasing polynomials on an interval: integrals of sums of squares, and Bernstein polynomials."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .bounds import positive, soft_clip
from .hand_gradients import Pair
from .positive_network import clenshaw_curtis

LEAST_SLOPE = 1e-3
"""Slope of the linear term of the integral of squares, and least slope of a Bernstein polynomial."""
LARGEST = 10.0
"""Upper bound of the distance of the coefficients of the squared polynomials from their start."""
OTHERS = 0.3
"""Size at the start of every squared polynomial but the first, whose gradient would vanish if it were zero."""


def sum_of_squares(x: Tensor, p: Tensor, polynomials: int, degree: int, bound: float) -> Pair:
    """Return the integral of a sum of squared polynomials, plus a linear term, and its log-slope (arXiv:1905.02325, eq. 7).

        dz/dx = e + sum_m P_m(u)^2,    z = shift + e x + bound int_0^u sum_m P_m(t)^2 dt,    u = x / bound

    The integrand has the degree 2 L, so the Clenshaw-Curtis rule with 2 L intervals has the integral's exact value, as a sum
    of positive terms. P_m is a sum of Chebyshev polynomials, of which power series are made.

    Args:
        x: Numbers (...) in [-bound, bound].
        p: Free parameters (..., M (L + 1) + 1); p = 0 gives a map close to the identity.
        polynomials: Number M of squared polynomials.
        degree: Degree L of each.
        bound: Half-width of the interval.

    Returns:
        z (...) and log dz/dx (...).
    """
    start, powers = (torch.tensor(part, dtype=x.dtype, device=x.device) for part in _chebyshev(polynomials, degree))
    free = soft_clip(p[..., :-1], LARGEST).unflatten(-1, (polynomials, degree + 1))
    u = x / bound
    # P(u t) = sum_l (c_l u^l) t^l at the nodes t of the rule on [0, 1], of which the first is 1.
    at, weights = (rule.to(x.dtype) for rule in clenshaw_curtis(max(2, 2 * degree), x.device))
    terms = ((free + start) @ powers) * _powers(u, degree).unsqueeze(-2)
    squares = (terms @ _powers(at, degree).mT).square().sum(-2)
    integral = u * (squares * weights).sum(-1)
    return p[..., -1] + LEAST_SLOPE * x + bound * integral, (LEAST_SLOPE + squares[..., 0]).log()


def _powers(u: Tensor, degree: int) -> Tensor:
    """Return 1, u, u^2, ..., u^degree: (...) -> (..., degree + 1)."""
    found = [torch.ones_like(u)]
    for _ in range(degree):
        found.append(found[-1] * u)
    return torch.stack(found, -1)


def _chebyshev(polynomials: int, degree: int) -> tuple[list[list[float]], list[list[float]]]:
    """Return the coefficients at the start (M, L + 1), and the power series of the Chebyshev polynomials (L + 1, L + 1)."""
    rows = [[1.0], [0.0, 1.0]]
    for _ in range(2, degree + 1):
        # T_n+1 = 2 u T_n - T_n-1
        twice = [0.0] + [2 * c for c in rows[-1]]
        rows.append([c - b for c, b in zip(twice, rows[-2] + [0.0, 0.0], strict=True)])
    powers = [row + [0.0] * (degree + 1 - len(row)) for row in rows[: degree + 1]]
    start = [[OTHERS * (k == min(m, degree)) for k in range(degree + 1)] for m in range(polynomials)]
    start[0][0] = math.sqrt(1 - LEAST_SLOPE)
    return start, powers


def bernstein(x: Tensor, p: Tensor, bound: float) -> Pair:
    """Return a Bernstein polynomial with increasing coefficients, and its log-slope (Ramasinghe et al. 2021, arXiv:2102.03509).

        z = sum_k c_k C(M, k) u^k (1 - u)^(M - k),    u = (x + bound) / (2 bound)
        dz/dx = M / (2 bound) sum_k (c_k+1 - c_k) C(M - 1, k) u^k (1 - u)^(M - 1 - k)

    All terms of the slope are positive, so no digits cancel.

    Args:
        x: Numbers (...) in [-bound, bound].
        p: Free parameters (..., M + 1): the steps c_k+1 - c_k, before they are made positive, and a shift; p = 0 gives z = x.
        bound: Half-width of the interval.

    Returns:
        z (...) and log dz/dx (...).
    """
    degree = p.shape[-1] - 1
    slopes, shift = positive(p[..., :-1], LEAST_SLOPE), p[..., -1]
    u = (x + bound) / (2 * bound)
    below = _bernstein_basis(u, degree - 1)
    slope = (slopes * below).sum(-1)
    # b_k of degree M is (1 - u) b_k + u b_k-1 of degree M - 1.
    basis = F.pad((1 - u).unsqueeze(-1) * below, (0, 1)) + F.pad(u.unsqueeze(-1) * below, (1, 0))
    # Half of all steps lie below the middle, so that p = 0 is the identity and one step moves both ends equally.
    sums = torch.cat([torch.zeros_like(slopes[..., :1]), slopes.cumsum(-1)], -1)
    centred = sums - sums[..., -1:] / 2
    return shift + 2 * bound / degree * (centred * basis).sum(-1), slope.log()


def _bernstein_basis(u: Tensor, degree: int) -> Tensor:
    """Return C(M, k) u^k (1 - u)^(M - k) for k = 0 ... M: (...) -> (..., M + 1)."""
    counts = torch.tensor([float(math.comb(degree, k)) for k in range(degree + 1)], dtype=u.dtype, device=u.device)
    return counts * _powers(u, degree) * _powers(1 - u, degree).flip(-1)
