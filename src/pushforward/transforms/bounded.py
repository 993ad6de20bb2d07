"""Bijections between bounded events and the real line.

For x in (low, high), with t = (x - low) / (high - low): z = logit(u) with u = a + (1 - a) t or u = a + (1 - 2 a) t, and
log dz/dx = -log u - log(1 - u) + log du/dx. A constant a > 0 keeps z small for pictures, whose pixels often lie on the bounds:
Dinh et al. 2017 (arXiv:1605.08803, section 4.1) use the first form with a = .05, Papamakarios et al. 2017 (arXiv:1705.07057,
appendix D) the second. With a > 0 the box maps to a part of the line only, so the density on the box integrates to less than
one. For a half-line, z is the inverse softplus of the distance y to its end: z = y + log(1 - exp(-y)),
log dz/dy = -log(1 - exp(-y)).
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Box, Identity, Real, Simplex, Space, Transform, Undo
from ..errors import SpecError
from ..functional.bounds import softplus_inverse, sum_events
from ..functional.half_normal import half_normal_to_normal, normal_to_half_normal


class Logit(Transform):
    """Logit layer from a box or a half-line to the real line; values on the boundary are first moved inside by one eps.

    Args:
        space: Box with at least one finite bound.
        alpha: Constant a in [0, 1/2), for a box with two finite bounds; 0 by default.
        symmetric: Whether u = a + (1 - 2 a) t, in [a, 1 - a]; otherwise u = a + (1 - a) t, in [a, 1].

    Raises:
        SpecError: The constant `alpha` is out of range, or not 0 for a half-line.
    """

    def __init__(self, space: Box, alpha: float = 0.0, *, symmetric: bool = True) -> None:
        super().__init__()
        finite = math.isfinite(space.low) and math.isfinite(space.high)
        if not 0 <= alpha < 0.5 or (alpha and not finite):
            raise SpecError(f"expected alpha in [0, 0.5) for a box, or 0 for a half-line, got {alpha} for {space}")
        self.x_space, self.z_space = space, Real(space.shape)
        self.alpha, self.slope = alpha, 1.0 - alpha * (2 if symmetric else 1)
        self.volume = space.size * (math.log(space.high - space.low) - math.log(self.slope)) if finite else 0.0

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map the box to the line: (B, *shape) -> (B, *shape), dlogp (B,) in nats."""
        low, high = self.x_space.low, self.x_space.high  # type: ignore[attr-defined]
        tiny = torch.finfo(x.dtype).eps
        if math.isfinite(low) and math.isfinite(high):
            u = (self.alpha + self.slope * (x - low) / (high - low)).clamp(tiny, 1 - tiny)
            log_u, log_rest = u.log(), torch.log1p(-u)
            return log_u - log_rest, -sum_events(log_u + log_rest) - self.volume
        y = (x - low if math.isfinite(low) else high - x).clamp_min(tiny)
        z, slope = softplus_inverse(y)
        return z if math.isfinite(low) else -z, sum_events(slope)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map the line to the box: (B, *shape) -> (B, *shape), dlogp (B,) in nats."""
        low, high = self.x_space.low, self.x_space.high  # type: ignore[attr-defined]
        if math.isfinite(low) and math.isfinite(high):
            dlogp = sum_events(F.logsigmoid(z) + F.logsigmoid(-z)) + self.volume
            return low + (high - low) * (z.sigmoid() - self.alpha) / self.slope, dlogp
        if math.isfinite(low):
            return low + F.softplus(z), sum_events(F.logsigmoid(z))
        return high - F.softplus(-z), sum_events(F.logsigmoid(-z))


class Log(Transform):
    """Logarithm from a half-line to the real line: z = log(x - low), or -log(high - x). Boundary values are moved inside.

    Args:
        space: Box with one finite bound.

    Raises:
        SpecError: Both bounds are finite, or none is.
    """

    def __init__(self, space: Box) -> None:
        super().__init__()
        if math.isfinite(space.low) == math.isfinite(space.high):
            raise SpecError(f"expected a box with one finite bound, got {space}")
        self.x_space, self.z_space = space, Real(space.shape)
        self.end, self.side = (space.low, 1.0) if math.isfinite(space.low) else (space.high, -1.0)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z = log y or -log y for the distance y to the bound, and dlogp = -sum log y."""
        log_y = (self.side * (x - self.end)).clamp_min(torch.finfo(x.dtype).tiny).log()
        return self.side * log_y, -sum_events(log_y)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x at the distance y = exp(z) or exp(-z) from the bound, and dlogp = sum log y."""
        return self.end + self.side * (self.side * z).exp(), sum_events(self.side * z)


class Probit(Transform):
    """Map of a half-line to the line that takes the half-normal distribution to the normal one: Phi(z) = 2 Phi(x - low) - 1.

    Args:
        space: Box with a finite lower bound and no upper one.

    Raises:
        SpecError: The space is another one.
    """

    def __init__(self, space: Box) -> None:
        super().__init__()
        if not math.isfinite(space.low) or math.isfinite(space.high):
            raise SpecError(f"expected a box with a finite lower bound and no upper one, got {space}")
        self.x_space, self.z_space, self.low = space, Real(space.shape), space.low

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and the sum of the log-slopes."""
        z, slopes = half_normal_to_normal(x - self.low)
        return z, sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and the sum of the log-slopes."""
        y, slopes = normal_to_half_normal(z)
        return self.low + y, sum_events(slopes)


class LogRatio(Transform):
    """Log-ratios from the simplex to the real line: z_i = log(x_i / x_K), dlogp = -sum_i log x_i (Aitchison 1982).

    The Jacobian dz_i/dx_j = [i = j] / x_i + 1 / x_K is diagonal plus rank one. Its determinant is
    prod_(i<K) 1/x_i (1 + sum_(i<K) x_i / x_K) = prod_(i<=K) 1/x_i, because the x_i sum to one.

    Args:
        space: Space of x, of shape (..., K); z has K - 1 numbers for each vector of K shares.
    """

    def __init__(self, space: Simplex) -> None:
        super().__init__()
        self.x_space, self.z_space = space, Real((*space.shape[:-1], space.shape[-1] - 1))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, ..., K) -> (B, ..., K - 1), (B,) in nats."""
        logs = x.clamp_min(torch.finfo(x.dtype).tiny).log()
        return logs[..., :-1] - logs[..., -1:], -sum_events(logs)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x, the softmax of (z, 0), and dlogp, the sum of log x."""
        logs = F.pad(z, (0, 1)).log_softmax(-1)
        return logs.exp(), sum_events(logs)


class Centre(Transform):
    """Affine map from a box to [-1, 1], used as part of the real line: z = 2 (x - low) / (high - low) - 1.

    The probability that a model gives to latent points outside of [-1, 1] is missing from the integral over the box.

    Args:
        space: Box with two finite bounds.

    Raises:
        SpecError: A bound is infinite.
    """

    undo = Undo.BOTH

    def __init__(self, space: Box) -> None:
        super().__init__()
        if not (math.isfinite(space.low) and math.isfinite(space.high)):
            raise SpecError(f"expected finite bounds, got {space}")
        self.x_space, self.z_space = space, Real(space.shape)
        self.middle, self.radius = (space.low + space.high) / 2, (space.high - space.low) / 2

    def _volume(self, v: Tensor) -> Tensor:
        return self._nothing(v) - self.x_space.size * math.log(self.radius)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x - middle) / radius and -D log radius."""
        return (x - self.middle) / self.radius, self._volume(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z radius + middle and D log radius."""
        return z * self.radius + self.middle, -self._volume(z)


@functools.singledispatch
def to_line(space: Space) -> Transform:
    """Return the bijection from a space to real arrays: Logit for boxes, Log for half-lines, LogRatio for the simplex.

    A new space registers its bijection with `@to_line.register` on a function from the space to the layer.

    Raises:
        SpecError: No bijection is registered for the space.
    """
    raise SpecError(
        f"expected parameters in a Real, Box or Simplex space, got {space}: a density needs a continuous space"
    )


@to_line.register
def _(space: Real) -> Transform:
    return Identity(space)


@to_line.register
def _(space: Simplex) -> Transform:
    return LogRatio(space)


@to_line.register
def _(space: Box) -> Transform:
    bounds = math.isfinite(space.low) + math.isfinite(space.high)
    return Logit(space) if bounds == 2 else Log(space) if bounds == 1 else _Unbounded(space)


class _Unbounded(Identity):
    """Identity from a box with two infinite bounds to the real line."""

    def __init__(self, space: Box) -> None:
        super().__init__(Real(space.shape))
        self.x_space = space
