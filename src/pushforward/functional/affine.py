"""Affine maps of one number with a bounded log-scale, with hand-written gradients.

Both maps are z = m' + e (x - m) with a scale e that depends on a free parameter a through s = a / sqrt(1 + (a /
bound)^2), whose derivative is (1 + (a / bound)^2)^(-3/2):

    affine   z = e x + b,             e = exp(s)                     log-slope s
    gated    z = m + e (x - m),       e = sigmoid(s + shift)         log-slope log e

The log-slope has the derivative c with respect to s, with c = 1 or c = 1 - e, so de/ds = c e. Let g and l be the
gradients of the loss with respect to z and to the log-slope. The chain rule then gives the gradients

    x: g e        s: c (g e (x - m) + l)        (m = 0 for the affine map).

For the inverse map, with z given, x computed and g the gradient with respect to x, they are

    z: g / e      s: -c (g (x - m) + l).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from .bounds import soft_clip, soft_clip_root
from .hand_gradients import Pair, derived, same_batch


def affine(v: Tensor, p: Tensor, bound: float, *, inverse: bool = False) -> Pair:
    """Return exp(s) v + shift and its log-slope, or those of the inverse map.

    Args:
        v: Numbers (...).
        p: Parameters (..., 2): the log-scale before it is bounded, and the shift.
        bound: Upper bound of |s|.
        inverse: Whether to apply the inverse map to v.

    Returns:
        The image (...) and log |d image / d v| (...).
    """
    return derived(_Affine(bound, inverse), *same_batch(v, p))


def gated(v: Tensor, p: Tensor, bound: float, offset: float, *, inverse: bool = False) -> Pair:
    """Return g v + (1 - g) mean with g = sigmoid(s + offset) and its log-slope, or those of the inverse map.

    Args:
        v: Numbers (...).
        p: Parameters (..., 2): the gate's parameter before it is bounded, and the mean.
        bound: Upper bound of |s|.
        offset: Number that is added to s.
        inverse: Whether to apply the inverse map to v.

    Returns:
        The image (...) and log |d image / d v| (...).
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
        # `image` and `slope` are the incoming gradients g and l. rate = root^3 is ds/da.
        rate = (root * root).mul_(root)
        g = image * scale
        g_p = torch.empty_like(p)
        g_free, g_shift = g_p.unbind(-1)
        if self.inverse:
            # x = (z - b) exp(-s), saved[2]: dx/ds = -x and the log-slope is -s.
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
        # rate = ds/da c, with c = 1 - e. from_mean is x - m in both directions.
        rate = (root * root).mul_(root).mul_(1 - gate)
        g_p = torch.empty_like(inputs[1])
        g_free, g_mean = g_p.unbind(-1)
        g = image / gate if self.inverse else image * gate
        torch.mul(torch.addcmul(slope, image if self.inverse else g, from_mean), rate, out=g_free)
        if self.inverse:
            g_free.neg_()
        # dz/dm = 1 - e and dx/dm = 1 - 1 / e: in both cases the gradient is image - g.
        torch.sub(image, g, out=g_mean)
        return g, g_p
