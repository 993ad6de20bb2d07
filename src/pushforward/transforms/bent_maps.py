"""Scalar maps of the line with a closed inverse and few parameters: a straight line, then a bend, a stretch or a skew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import SpecError
from ..functional.bent_lines import (
    asinh,
    cubic_rational,
    cubic_rational_inverse,
    log_cosh,
    sinh_arcsinh,
    stretched,
    yeo_johnson,
)
from ..functional.bounds import soft_clip
from .scalar import LineMap

Bend = Literal["cubic-rational", "sinh", "sinh-arcsinh", "johnson-su", "yeo-johnson", "leaky"]

_SHAPES = {"cubic-rational": 1, "sinh": 1, "sinh-arcsinh": 2, "johnson-su": 2, "yeo-johnson": 1, "leaky": 1}
_LEAST, _MOST = -0.95, 7.6
"""Range of the bend of a cubic-rational map, inside of (-1, 8)."""
_REACH = 0.95
"""Largest distance of the power of a Yeo-Johnson map from 1, inside of [0, 2]."""


@dataclass(frozen=True)
class BentLine(LineMap):
    """Bijection of the line in closed form, between two affine maps: z = m + exp(-s) f(exp(s) (x - m); shape).

    For Johnson's map, which grows like a logarithm, f is d asinh(y / d) + g: near zero, and for large d, a straight line.

    Args:
        kind: Function f: "cubic-rational", y + a y / (1 + y^2); "sinh", asinh(exp(a) sinh(y)), which moves mass towards or away
            from m and has straight tails of slope 1; "sinh-arcsinh", which sets skewness and the weight of the tails (Jones and
            Pewsey 2009); "johnson-su" (Johnson 1949), for heavy tails; or "yeo-johnson" (Yeo and Johnson 2000), for skewness,
            with a power between 0.05 and 1.95; or "leaky", y above m and exp(a) y below it, a leaky ReLU with a learned slope.
        bound: Upper bound of |s|.

    Raises:
        SpecError: The kind is unknown, or the bound is not positive.
    """

    kind: Bend = "cubic-rational"
    bound: float = 3.0

    def __post_init__(self) -> None:
        """Check the kind and the bound."""
        if self.kind not in _SHAPES:
            raise SpecError(f"expected one of {', '.join(_SHAPES)}, got {self.kind!r}")
        if not 0 < self.bound < math.inf:
            raise SpecError(f"expected a finite bound > 0, got {self.bound}")

    @property
    def n(self) -> int:
        """Number of free parameters: 4 for "sinh-arcsinh" and "johnson-su", and 3 for the others."""
        return 2 + _SHAPES[self.kind]

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and the log-slope."""
        return self._map(x, p, inverse=False)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and the log-slope, in closed form."""
        return self._map(z, p, inverse=True)

    def _map(self, v: Tensor, p: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        middle, scale = p[..., 0], soft_clip(p[..., 1], self.bound).exp()
        image, log_slope = self._bend((v - middle) * scale, p[..., 2:], inverse=inverse)
        return middle + image / scale, log_slope

    def _bend(self, v: Tensor, p: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        shape = p[..., 0]
        if self.kind == "cubic-rational":
            # The sigmoid is -_LEAST / (_MOST - _LEAST) where the bend is zero.
            start = math.log(-_LEAST / _MOST)
            a = _LEAST + (_MOST - _LEAST) * torch.sigmoid(shape + start)
            return cubic_rational_inverse(v, a) if inverse else cubic_rational(v, a)
        if self.kind == "sinh":
            a = soft_clip(shape, 4.0)
            return stretched(v, -a if inverse else a)
        if self.kind == "yeo-johnson":
            return yeo_johnson(v, 1 + soft_clip(shape, _REACH), inverse=inverse)
        if self.kind == "leaky":
            log_slope = torch.where(v < 0, soft_clip(-shape if inverse else shape, self.bound), 0.0)
            return v * log_slope.exp(), log_slope
        rate, shift = soft_clip(shape, 1.0).exp(), soft_clip(p[..., 1], 3.0)
        if self.kind == "sinh-arcsinh":
            return sinh_arcsinh(v, 1 / rate, -shift / rate) if inverse else sinh_arcsinh(v, rate, shift)
        # At p = 0 the rate d is 2.
        d = 2 * rate
        if inverse:
            u = (v - shift) / d
            return d * torch.sinh(u), log_cosh(u)
        u = asinh(v / d)
        return d * u + shift, -log_cosh(u)
