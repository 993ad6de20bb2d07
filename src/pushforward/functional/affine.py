"""Affine maps of one number with a bounded log-scale, with gradients derived by hand.

Both are z = c + e (x - c') with a scale e made from a free parameter a through s = a / sqrt(1 + (a / bound)^2), whose
derivative is (1 + (a / bound)^2)^(-3/2):

    affine   z = e x + b,             e = exp(s)                     log-slope s
    gated    z = m + e (x - m),       e = sigmoid(s + shift)         log-slope log e

Either log-slope has the derivative c with respect to s, 1 or 1 - e, so de/ds = c e. With cotangents (g, l) of the image and
the log-slope, those of x and s are g e and c (g e (x - m) + l), m = 0 for the affine map; for the inverses, with x the image,
g / e and -c (g (x - m) + l).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from .bounds import soft_clip, soft_clip_root
from .hand_gradients import Pair, derived, same_batch


def affine(v: Tensor, p: Tensor, bound: float, *, inverse: bool = False) -> Pair:
    """exp(s) v + shift, or its inverse.

    Args:
        v: (...).
        p: (..., 2): the log-scale before it is bounded, and the shift.
        bound: |s| stays below it.
        inverse: whether v is on the z side.

    Returns:
        the image (...) and log |d image / d v| (...).
    """
    return derived(_Affine(bound, inverse), *same_batch(v, p))


def gated(v: Tensor, p: Tensor, bound: float, offset: float, *, inverse: bool = False) -> Pair:
    """g v + (1 - g) mean with g = sigmoid(s + offset), or its inverse.

    Args:
        v: (...).
        p: (..., 2): the gate's parameter before it is bounded, and the mean.
        bound: |s| stays below it.
        offset: added to s.
        inverse: whether v is on the z side.

    Returns:
        the image (...) and log |d image / d v| (...).
    """
    return derived(_Gated(bound, offset, inverse), *same_batch(v, p))


@dataclasses.dataclass(frozen=True)
class _Affine:
    bound: float
    inverse: bool

    def plain(self, v: Tensor, p: Tensor) -> Pair:
        free, shift = p.unbind(-1)
        s = soft_clip(free, self.bound)
        if self.inverse:
            return (v - shift) * (-s).exp(), -s
        return v * s.exp() + shift, s

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        free, shift = p.unbind(-1)
        root = soft_clip_root(free, self.bound)
        s = free * root
        if self.inverse:
            s.neg_()
            scale = s.exp()
            image = (v - shift).mul_(scale)
            return (image, s), (scale, root, image)
        scale = s.exp()
        return (torch.addcmul(shift, v, scale), s), (scale, root)

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        v, p = inputs
        scale, root = saved[:2]
        rate = (root * root).mul_(root)
        g = image * scale
        g_p = torch.empty_like(p)
        g_free, g_shift = g_p.unbind(-1)
        if self.inverse:
            torch.mul(torch.addcmul(slope, image, saved[2]), rate, out=g_free).neg_()
            torch.neg(g, out=g_shift)
        else:
            torch.mul(torch.addcmul(slope, g, v), rate, out=g_free)
            g_shift.copy_(image)
        return g, g_p


@dataclasses.dataclass(frozen=True)
class _Gated:
    bound: float
    offset: float
    inverse: bool

    def plain(self, v: Tensor, p: Tensor) -> Pair:
        free, mean = p.unbind(-1)
        s = soft_clip(free, self.bound) + self.offset
        gate, log_gate = s.sigmoid(), F.logsigmoid(s)
        if self.inverse:
            return (v - (1 - gate) * mean) / gate, -log_gate
        return gate * v + (1 - gate) * mean, log_gate

    def evaluate(self, v: Tensor, p: Tensor) -> tuple[Pair, tuple[Tensor, ...]]:
        free, mean = p.unbind(-1)
        root = soft_clip_root(free, self.bound)
        s = (free * root).add_(self.offset)
        gate, log_gate = s.sigmoid(), F.logsigmoid(s)
        from_mean = v - mean
        if self.inverse:
            from_mean.div_(gate)
            return (mean + from_mean, -log_gate), (gate, root, from_mean)
        return (torch.addcmul(mean, gate, from_mean), log_gate), (gate, root, from_mean)

    def gradient(self, inputs: Pair, saved: tuple[Tensor, ...], image: Tensor, slope: Tensor) -> Pair:
        gate, root, from_mean = saved
        rate = (root * root).mul_(root).mul_(1 - gate)
        g_p = torch.empty_like(inputs[1])
        g_free, g_mean = g_p.unbind(-1)
        g = image / gate if self.inverse else image * gate
        torch.mul(torch.addcmul(slope, image if self.inverse else g, from_mean), rate, out=g_free)
        if self.inverse:
            g_free.neg_()
        torch.sub(image, g, out=g_mean)
        return g, g_p
