"""Beta distributions from moments, and their divergence (Rippel and Adams 2013, arXiv:1302.5125)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

ROOM = 1e-6
"""Smallest distance of a mean from 0 and 1, and smallest variance as a share of its upper limit m (1 - m)."""


def log_beta(a: float, b: float) -> float:
    """Return log B(a, b), the logarithm of the Beta function of two numbers."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_of_moments(z: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the parameters of the Beta distributions with the mean m and the variance v of each column.

        a = m k,    b = (1 - m) k,    k = m (1 - m) / v - 1

    Numbers in [0, 1] have v <= m (1 - m), with equality only for zeros and ones. There, and for constant columns, the variance
    is moved to the nearest one that a Beta distribution has.

    Args:
        z: Numbers in [0, 1], (B, D).
        weights: Weights of the rows, (B,), or None.

    Returns:
        a and b, (D,) each.
    """
    share = z.new_full((len(z), 1), 1 / len(z)) if weights is None else (weights / weights.sum()).to(z.dtype)[:, None]
    mean = (share * z).sum(0).clamp(ROOM, 1 - ROOM)
    variance = (share * (z - mean).square()).sum(0)
    limit = mean * (1 - mean)
    k = limit / torch.clamp(variance, ROOM * limit, (1 - ROOM) * limit) - 1
    return mean * k, (1 - mean) * k


def beta_divergence(a: Tensor, b: Tensor, to_a: float, to_b: float) -> Tensor:
    """Return KL[Beta(a, b) || Beta(a', b')] in nats.

        log B(a', b') - log B(a, b) + (a - a') psi(a) + (b - b') psi(b) + (a' - a + b' - b) psi(a + b)

    Args:
        a: First parameter of the first distribution, (...).
        b: Its second parameter, (...).
        to_a: First parameter a' of the second distribution.
        to_b: Its second parameter b'.
    """
    own = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    psi_a, psi_b, psi = torch.digamma(a), torch.digamma(b), torch.digamma(a + b)
    return log_beta(to_a, to_b) - own + (a - to_a) * psi_a + (b - to_b) * psi_b + (to_a - a + to_b - b) * psi
