"""What every form of the spline shares: its shape, the terms of the formula inside one bin, and their gradient.

The gradient of the inverse is that of the map at the point found (the implicit function rule): for cotangents (g, l) of x
and log dx/dz, the map's are (-u, -l) with u = (g - l d(log slope)/dx) / slope, and u is the cotangent of z.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_SIZE = 1e-3
MIN_SLOPE = 1e-3
SHIFT = math.log(math.expm1(1.0 - MIN_SLOPE))


@dataclasses.dataclass(frozen=True)
class Shape:
    """The hyper-parameters of a spline, and which way it is read.

    Args:
        bins: K.
        low: left and lower end.
        high: right and upper end.
        inverse: whether v is on the y side.
        tails: whether it is the identity outside [low, high], with slopes 1 there.
    """

    bins: int
    low: float
    high: float
    inverse: bool
    tails: bool

    @property
    def least(self) -> float:
        """What every bin has of the whole: MIN_SIZE (high - low)."""
        return MIN_SIZE * (self.high - self.low)

    @property
    def share(self) -> float:
        """What a softmax distributes among the bins: the rest."""
        return (1 - MIN_SIZE * self.bins) * (self.high - self.low)


class Terms(NamedTuple):
    """The formula inside one bin, each (N,): s = h / w, r = 1 - t, mixed = t r, ratio = (y - y_k) / h, rise = dy/dx."""

    w: Tensor
    h: Tensor
    s: Tensor
    curve: Tensor
    t: Tensor
    r: Tensor
    mixed: Tensor
    t2: Tensor
    r2: Tensor
    over: Tensor
    ratio: Tensor
    blend: Tensor
    rise: Tensor


class LocalGradient(NamedTuple):
    """Cotangents of what one bin is made of, each (N,)."""

    v: Tensor
    x0: Tensor
    y0: Tensor
    w: Tensor
    h: Tensor
    d0: Tensor
    d1: Tensor


def slopes_of(raw: Tensor) -> Tensor:
    """Slopes at the knots from free parameters: `bounds.positive` with the smallest slope as floor."""
    return F.softplus(raw + SHIFT).add_(MIN_SLOPE)


def slopes_rate(slopes: Tensor) -> Tensor:
    """The derivative of `slopes_of`, from its result."""
    return torch.expm1(MIN_SLOPE - slopes).neg_()


def terms_in_bin(along: Tensor, w: Tensor, h: Tensor, d0: Tensor, d1: Tensor, *, inverse: bool) -> Terms:
    """The terms at v - x_k, or for the inverse at v - y_k, which is overwritten."""
    s = h / w
    curve = torch.sub(d0 + d1, s, alpha=2)
    t = _root(along, h, s, d0, curve) if inverse else along.div_(w)
    t.clamp_(0, 1)
    r = 1 - t
    mixed, t2, r2 = t * r, t * t, r * r
    over = torch.addcmul(s, curve, mixed).reciprocal_()
    ratio = (s * t2).addcmul_(d0, mixed).mul_(over)
    blend = (d1 * t2).addcmul_(s, mixed, value=2).addcmul_(d0, r2)
    rise = (s * over).square_().mul_(blend)
    return Terms(w, h, s, curve, t, r, mixed, t2, r2, over, ratio, blend, rise)


def image_in_bin(terms: Terms, x0: Tensor, y0: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
    """The image and its log-slope, in a bin that starts at (x0, y0)."""
    if inverse:
        return torch.addcmul(x0, terms.w, terms.t), terms.rise.log().neg_()
    return torch.addcmul(y0, terms.ratio, terms.h), terms.rise.log()


def gradient_in_bin(terms: Terms, d0: Tensor, d1: Tensor, g: Tensor, g_log: Tensor, *, inverse: bool) -> LocalGradient:
    """From the cotangents of the image and of its log-slope to those of v and of the bin."""
    w, h, s, curve, t, r, mixed, t2, r2, over, ratio, blend, rise = terms
    tilt = r - t
    # half of d(log slope)/dt
    bend = (d1 * t).addcmul_(s, tilt).addcmul_(d0, r, value=-1).div_(blend)
    bend.addcmul_(tilt.mul_(curve), over, value=-1)
    if inverse:
        g = (g_log * bend).mul_(2).div_(w).sub_(g).div_(rise)
        g_log = -g_log
    g_x = (g * rise).addcdiv_(bend.mul_(g_log), w, value=2)
    g_ratio = g * h
    flat = (t2 + r2).mul_(over)
    g_s = (t2 * over).addcmul_(ratio, flat, value=-1).mul_(g_ratio)
    g_s.addcmul_(g_log, s.reciprocal().addcdiv_(mixed, blend).sub_(flat), value=2).div_(w)
    g_w = (g_x * t).addcmul_(g_s, s).neg_()
    g_h = torch.addcmul(g_s, g, ratio)
    bent = mixed * over
    g_curve = (g_ratio * ratio).add_(g_log, alpha=2).mul_(bent)
    g_blend = g_log / blend
    g_d0 = (g_blend * r2).addcmul_(g_ratio, bent).sub_(g_curve)
    g_d1 = (g_blend * t2).sub_(g_curve)
    return LocalGradient(-g if inverse else g_x, -g_x, g, g_w, g_h, g_d0, g_d1)


def _root(dy: Tensor, h: Tensor, s: Tensor, d0: Tensor, curve: Tensor) -> Tensor:
    """Return t with the spline at y_k + dy."""
    bent = dy * curve
    a = (s - d0).mul_(h).add_(bent)
    b = (h * d0).sub_(bent)
    c = dy.mul_(s)
    root = (a * c).mul_(4).addcmul_(b, b).clamp_min_(0).sqrt_().add_(b)
    return c.mul_(2).div_(root)
