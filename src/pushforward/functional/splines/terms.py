"""Parts that all forms of the spline share: its shape, the terms of the formula inside one bin, and their gradient.

The gradient of the inverse follows from the implicit function rule, as the gradient of the map at the point found. With the
gradients g and l of the loss with respect to x and log dx/dz, those of the map's results are -u and -l, where
u = (g - l d(log slope)/dx) / slope is also the gradient with respect to z.
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
    """Hyper-parameters of a spline, and the direction in which it is applied.

    Args:
        bins: Number of bins K.
        low: Left and lower end.
        high: Right and upper end.
        inverse: Whether the inverse map is applied.
        tails: Whether the identity continues the spline outside [low, high], with slopes 1 at the ends.
    """

    bins: int
    low: float
    high: float
    inverse: bool
    tails: bool

    @property
    def least(self) -> float:
        """Smallest size of a bin, MIN_SIZE (high - low)."""
        return MIN_SIZE * (self.high - self.low)

    @property
    def share(self) -> float:
        """Length that the softmax distributes among the bins: all but the smallest sizes."""
        return (1 - MIN_SIZE * self.bins) * (self.high - self.low)


class Terms(NamedTuple):
    """Terms of the formula inside one bin, each (N,).

    s = h / w, curve = d0 + d1 - 2 s, r = 1 - t, mixed = t r, t2 = t^2, r2 = r^2, over = 1 / (s + curve mixed),
    ratio = (y - y_k) / h, blend = d1 t2 + 2 s mixed + d0 r2, rise = dy/dx.
    """

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
    """Gradients with respect to the quantities of one bin, each (N,)."""

    v: Tensor
    x0: Tensor
    y0: Tensor
    w: Tensor
    h: Tensor
    d0: Tensor
    d1: Tensor


def slopes_of(raw: Tensor) -> Tensor:
    """Return slopes at the knots from free parameters: `bounds.positive` with the smallest slope as floor."""
    return F.softplus(raw + SHIFT).add_(MIN_SLOPE)


def slopes_rate(slopes: Tensor) -> Tensor:
    """Return the derivative of `slopes_of` as a function of its result."""
    # With slope = log(1 + e^x) + MIN_SLOPE, the derivative sigmoid(x) is 1 - exp(MIN_SLOPE - slope).
    return torch.expm1(MIN_SLOPE - slopes).neg_()


def terms_in_bin(along: Tensor, w: Tensor, h: Tensor, d0: Tensor, d1: Tensor, *, inverse: bool) -> Terms:
    """Return the terms at v - x_k, or for the inverse at v - y_k; this argument is overwritten."""
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
    """Return the image and its log-slope, in a bin that starts at (x0, y0)."""
    if inverse:
        return torch.addcmul(x0, terms.w, terms.t), terms.rise.log().neg_()
    return torch.addcmul(y0, terms.ratio, terms.h), terms.rise.log()


def gradient_in_bin(terms: Terms, d0: Tensor, d1: Tensor, g: Tensor, g_log: Tensor, *, inverse: bool) -> LocalGradient:
    """Return the gradients with respect to v and the bin, from those with respect to the image and its log-slope."""
    w, h, s, curve, t, r, mixed, t2, r2, over, ratio, blend, rise = terms
    # y = y_k + h ratio, and log slope = 2 log s + 2 log over + log blend.
    tilt = r - t
    # bend is half of d(log slope)/dt: mixed' = tilt and blend' = 2 (d1 t + s tilt - d0 r).
    bend = (d1 * t).addcmul_(s, tilt).addcmul_(d0, r, value=-1).div_(blend)
    bend.addcmul_(tilt.mul_(curve), over, value=-1)
    # See the start of this module: g becomes -u.
    if inverse:
        g = (g_log * bend).mul_(2).div_(w).sub_(g).div_(rise)
        g_log = -g_log
    g_x = (g * rise).addcdiv_(bend.mul_(g_log), w, value=2)
    g_ratio = g * h
    # 1 / over = s (t2 + r2) + (d0 + d1) mixed, since 1 - 2 mixed = t2 + r2: its derivative in s is t2 + r2, and
    # flat is that of -log over. g_s is divided by w because s = h / w: ds/dh = 1 / w and ds/dw = -s / w.
    flat = (t2 + r2).mul_(over)
    g_s = (t2 * over).addcmul_(ratio, flat, value=-1).mul_(g_ratio)
    g_s.addcmul_(g_log, s.reciprocal().addcdiv_(mixed, blend).sub_(flat), value=2).div_(w)
    g_w = (g_x * t).addcmul_(g_s, s).neg_()
    g_h = torch.addcmul(g_s, g, ratio)
    # d0 and d1 enter over through curve, with derivative mixed, and ratio and blend also directly.
    bent = mixed * over
    g_curve = (g_ratio * ratio).add_(g_log, alpha=2).mul_(bent)
    g_blend = g_log / blend
    g_d0 = (g_blend * r2).addcmul_(g_ratio, bent).sub_(g_curve)
    g_d1 = (g_blend * t2).sub_(g_curve)
    return LocalGradient(-g if inverse else g_x, -g_x, g, g_w, g_h, g_d0, g_d1)


def _root(dy: Tensor, h: Tensor, s: Tensor, d0: Tensor, curve: Tensor) -> Tensor:
    """Return the t at which the spline has the value y_k + dy; dy is overwritten."""
    bent = dy * curve
    a = (s - d0).mul_(h).add_(bent)
    b = (h * d0).sub_(bent)
    c = dy.mul_(s)
    root = (a * c).mul_(4).addcmul_(b, b).clamp_min_(0).sqrt_().add_(b)
    return c.mul_(2).div_(root)
