"""Scalar maps as other libraries write them, so that their weights can be used here unchanged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..functional.splines.plain import between_knots
from .scalar import LineMap, LogScaleMap


def _saturated(p: Tensor, limit: float) -> Tensor:
    """Return p / (1 + |p| / limit), which stays within (-limit, limit)."""
    return p / (1 + p.abs() / limit)


@dataclass(frozen=True)
class ScaleRule(LogScaleMap):
    """Affine map z = a(s) x + t with one of three rules for the scale.

        softplus: a = softplus(s) + e    sigmoid: a = sigmoid(s + 2) + e    saturating: log a = s / (1 + |s / log e|)

    Here e is `floor`. The first two are those of nflows (autoregressive and coupling layers), the third that of zuko.

    Args:
        rule: Rule of the scale.
        floor: Constant e.
    """

    rule: Literal["softplus", "sigmoid", "saturating"] = "saturating"
    floor: float = 1e-3
    n: int = 2

    def log_scale(self, free: Tensor) -> Tensor:
        """Return log a."""
        if self.rule == "saturating":
            return _saturated(free, -math.log(self.floor))
        return ((F.softplus(free) if self.rule == "softplus" else torch.sigmoid(free + 2)) + self.floor).log()


@dataclass(frozen=True)
class SaturatingSpline(LineMap):
    """Rational-quadratic spline whose free parameters saturate, as in zuko; the identity outside [-bound, bound].

    The shares of the widths and heights are softmaxes of p / (1 + |2 p / log e|), and the log-slopes at the inner knots are
    p / (1 + |p / log e|), with e = `floor`.

    Args:
        bins: Number of bins K.
        bound: Half-width of the interval where the spline acts.
        floor: Constant e.
    """

    bins: int = 8
    bound: float = 5.0
    floor: float = 1e-3

    @property
    def n(self) -> int:
        """Number of free parameters, 3 K - 1."""
        return 3 * self.bins - 1

    def _map(self, v: Tensor, p: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        limit = -math.log(self.floor)
        sizes = _saturated(p[..., : 2 * self.bins].unflatten(-1, (2, self.bins)), limit / 2).softmax(-1)
        width, height = (2 * self.bound * sizes).unbind(-2)
        slopes = F.pad(_saturated(p[..., 2 * self.bins :], limit).exp(), (1, 1), value=1.0)
        inside = v.abs() < self.bound
        kept = torch.where(inside, v, 0.0)
        left, lower = (F.pad(part[..., :-1].cumsum(-1), (1, 0)) - self.bound for part in (width, height))
        image, log_slope = between_knots(kept, width, left, height, lower, slopes, inverse=inverse)
        return torch.where(inside, image, v), torch.where(inside, log_slope, 0.0)

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spline at x and its log-slope."""
        return self._map(x, p, inverse=False)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverse spline at z and its log-slope, in closed form."""
        return self._map(z, p, inverse=True)
