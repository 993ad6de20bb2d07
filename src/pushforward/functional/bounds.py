"""Smooth maps of free parameters into ranges, with derivatives that never overflow."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_clip(p: Tensor, bound: float) -> Tensor:
    """Return p / sqrt(1 + (p / bound)^2), an odd, smooth function into (-bound, bound) with slope 1 at zero."""
    return p * torch.rsqrt(1 + (p / bound).square())


def soft_clip_root(p: Tensor, bound: float) -> Tensor:
    """Return r = (1 + (p / bound)^2)^(-1/2), not for autograd: `soft_clip` is p r, and its derivative is r^3."""
    return (p * p).mul_(bound**-2).add_(1).rsqrt_()


def positive(p: Tensor, floor: float = 0.0) -> Tensor:
    """Return softplus(p + c) + floor, with the constant c that gives 1 for p = 0."""
    return F.softplus(p + math.log(math.expm1(1.0 - floor))) + floor


def softplus_inverse(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return z = y + log(1 - exp(-y)), whose softplus is y > 0, and log dz/dy = -log(1 - exp(-y)).

    Values of y below the smallest normal number are moved there, so that both results are finite.
    """
    y = y.clamp_min(torch.finfo(y.dtype).tiny)
    log_rest = torch.log(-torch.expm1(-y))
    return y + log_rest, -log_rest


def softplus_slope(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return y = log(1 + exp(z)) and log dy/dz = log sigmoid(z), the inverse of `softplus_inverse`."""
    return F.softplus(z), F.logsigmoid(z)


def sum_events(t: Tensor) -> Tensor:
    """Return the sum over all dimensions but the first: (B, ...) -> (B,)."""
    return t if t.dim() == 1 else t.flatten(1).sum(1)


def one_hot_through(logits: Tensor, temperature: float) -> Tensor:
    """Return the one-hot vector of the largest logit, with the gradient of softmax(logits / temperature) (arXiv:1308.3432)."""
    soft = (logits / temperature).softmax(-1)
    hard = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    return hard + (soft - soft.detach())


def round_through(t: Tensor) -> Tensor:
    """Return round(t) with the gradient of t, the straight-through estimator (Bengio et al. 2013, arXiv:1308.3432)."""
    return t.round().detach() + (t - t.detach())
