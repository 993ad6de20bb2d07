"""Smooth maps of free parameters into ranges, with derivatives that never overflow."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_clip(p: Tensor, bound: float) -> Tensor:
    """p / sqrt(1 + (p / bound)^2): odd, smooth, slope 1 at zero, in (-bound, bound)."""
    return p * torch.rsqrt(1 + (p / bound).square())


def soft_clip_root(p: Tensor, bound: float) -> Tensor:
    """r = (1 + (p / bound)^2)^(-1/2), outside of autograd: `soft_clip` is p r, and its derivative r^3."""
    return (p * p).mul_(bound**-2).add_(1).rsqrt_()


def positive(p: Tensor, floor: float = 0.0) -> Tensor:
    """softplus(p + c) + floor, with c such that p = 0 gives 1."""
    return F.softplus(p + math.log(math.expm1(1.0 - floor))) + floor


def sum_events(t: Tensor) -> Tensor:
    """Sum over all but the first dimension: (B, ...) -> (B,)."""
    return t if t.dim() == 1 else t.flatten(1).sum(1)


def one_hot_through(logits: Tensor, temperature: float) -> Tensor:
    """One-hot vector of the largest logit, exactly, with the gradient of softmax(logits / temperature) (arXiv:1308.3432)."""
    soft = (logits / temperature).softmax(-1)
    hard = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    return hard + (soft - soft.detach())


def round_through(t: Tensor) -> Tensor:
    """round(t), exactly, with the gradient of t: the straight-through estimator (Bengio et al. 2013, arXiv:1308.3432)."""
    return t.round().detach() + (t - t.detach())
