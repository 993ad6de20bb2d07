"""Scalar maps: increasing functions of one number, whose parameters a layer supplies.

A scalar map is an immutable object. It holds hyper-parameters, reports how many free parameters `n` one coordinate needs, and
maps x with p of shape (*x.shape, n) to z and log dz/dx. Element-wise, coupling and autoregressive layers can use every scalar
map. The map itself brings free parameters into their range, by smooth functions; p = 0 gives the identity or a map close to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Real, Space
from ..errors import SpecError
from ..functional.affine import affine, gated
from ..functional.bounds import round_through, soft_clip
from ..functional.logistic import logistic_mixture
from ..functional.splines import rational_quadratic_box, rational_quadratic_tails


class Scalar(Protocol):
    """Protocol of scalar maps."""

    @property
    def n(self) -> int:
        """Number of free parameters for one coordinate."""

    @property
    def numeric_inverse(self) -> bool:
        """Whether the inverse is computed by iteration, which costs many evaluations."""

    def check(self, space: Space) -> None:
        """Check that the map sends the coordinates of a space onto themselves.

        Raises:
            SpecError: It does not; the message names the space.
        """

    def part(self, which: int | Sequence[int]) -> Scalar:
        """Return the map of one coordinate, or of some of them."""

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and log dz/dx: x (...), p (..., n) -> z (...), (...)."""

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz: z (...), p (..., n) -> x (...), (...)."""


class ScalarMap:
    """Base class of scalar maps that are the same for every coordinate."""

    numeric_inverse = False

    def part(self, which: int | Sequence[int]) -> Self:
        """Return the map itself."""
        return self


class LineMap(ScalarMap):
    """Base class of scalar maps from the real line onto itself, the same for every coordinate."""

    def check(self, space: Space) -> None:
        """Check that the space is `Real`.

        Raises:
            SpecError: It is another one; the message names it.
        """
        if type(space) is not Real:
            raise SpecError(f"{type(self).__name__} needs the real line: expected Real{space.shape}, got {space}")


@dataclass(frozen=True)
class Additive(LineMap):
    """Additive map z = x + t, which preserves volume (Dinh et al. 2015, arXiv:1410.8516, eq. 3)."""

    n: int = 1

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x + t and 0."""
        return x + p[..., 0], torch.zeros_like(x)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return z - t and 0."""
        return z - p[..., 0], torch.zeros_like(z)


@dataclass(frozen=True)
class Affine(LineMap):
    """Affine map z = x exp(s) + t, with s smoothly bounded (Dinh et al. 2017, arXiv:1605.08803, eq. 4).

    Args:
        bound: Upper bound of |s|.
    """

    bound: float = 4.0
    n: int = 2

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x exp(s) + t and s."""
        return affine(x, p, self.bound)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return (z - t) exp(-s) and -s."""
        return affine(z, p, self.bound, inverse=True)


class LogScaleMap(LineMap):
    """Base class of affine maps z = x exp(s) + t, where s is a function of the first parameter, and t is the second one."""

    def log_scale(self, free: Tensor) -> Tensor:
        """Return s, the logarithm of the scale, for free parameters (...)."""
        raise NotImplementedError

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x exp(s) + t and s."""
        log_scale = self.log_scale(p[..., 0])
        return x * log_scale.exp() + p[..., 1], log_scale

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return (z - t) exp(-s) and -s."""
        log_scale = self.log_scale(p[..., 0])
        return (z - p[..., 1]) * (-log_scale).exp(), -log_scale


@dataclass(frozen=True)
class ClampedAffine(LogScaleMap):
    """Affine map z = x exp(c (2 / pi) atan(s / c)) + t, whose log-scale stays within (-c, c) (arXiv:1808.04730, appendix 2).

    Args:
        clamp: Upper bound c of the log-scale.
    """

    clamp: float = 2.0
    n: int = 2

    def log_scale(self, free: Tensor) -> Tensor:
        """Return c (2 / pi) atan(s / c)."""
        return self.clamp * (2 / math.pi) * torch.atan(free / self.clamp)


@dataclass(frozen=True)
class GatedAffine(LineMap):
    """Gated affine map z = g x + (1 - g) m with g = sigmoid(s + shift) (Kingma et al. 2016, arXiv:1606.04934, eq. 13-14).

    Args:
        shift: Shift of the free parameter; with 2 the map starts at g = 0.88.
        bound: Upper bound of |s|, which keeps g away from 0.
    """

    shift: float = 2.0
    bound: float = 4.0
    n: int = 2

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return g x + (1 - g) m and log g."""
        return gated(x, p, self.bound, self.shift)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return (z - (1 - g) m) / g and -log g."""
        return gated(z, p, self.bound, self.shift, inverse=True)


@dataclass(frozen=True)
class Sigmoidal(LineMap):
    """Affine map with a bounded slope: z = (x + t) g with g = gain sigmoid(s + shift) and s smoothly bounded.

    Gain 1 and shift 2 give the affine coupling of Glow's code (Kingma and Dhariwal 2018, arXiv:1807.03039). Gain 2 and shift 0
    give that of Jet (Kolesnikov et al. 2024, arXiv:2412.15129), which starts as the identity.

    Args:
        gain: Upper bound of the slope g.
        shift: Shift of the free parameter.
        bound: Upper bound of |s|, which keeps g away from 0.
    """

    gain: float = 1.0
    shift: float = 2.0
    bound: float = 4.0
    n: int = 2

    def _gate(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s = soft_clip(p[..., 0], self.bound) + self.shift
        return self.gain * s.sigmoid(), F.logsigmoid(s) + math.log(self.gain), p[..., 1]

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return (x + t) g and log g."""
        g, log_g, t = self._gate(p)
        return (x + t) * g, log_g

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return z / g - t and -log g."""
        g, log_g, t = self._gate(p)
        return z / g - t, -log_g


@dataclass(frozen=True)
class Composed(ScalarMap):
    """Composition of two scalar maps, z = second(first(x)), each with its own parameters.

    Args:
        first: Map that is applied first, with the first parameters.
        second: Map that is applied second, with the other parameters.
    """

    first: Scalar
    second: Scalar

    @property
    def n(self) -> int:
        """Number of free parameters of both maps together."""
        return self.first.n + self.second.n

    @property
    def numeric_inverse(self) -> bool:  # type: ignore[override]
        """Whether at least one map has a numeric inverse."""
        return self.first.numeric_inverse or self.second.numeric_inverse

    def check(self, space: Space) -> None:
        """Check the space with both maps.

        Raises:
            SpecError: One of the maps rejects the space.
        """
        self.first.check(space)
        self.second.check(space)

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return second(first(x)) and the sum of the log-slopes."""
        y, inner = self.first.forward(x, p[..., : self.first.n])
        z, outer = self.second.forward(y, p[..., self.first.n :])
        return z, inner + outer

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return first^-1(second^-1(z)) and the sum of the log-slopes."""
        y, outer = self.second.inverse(z, p[..., self.first.n :])
        x, inner = self.first.inverse(y, p[..., : self.first.n])
        return x, outer + inner


@dataclass(frozen=True)
class RationalQuadratic(ScalarMap):
    """Rational-quadratic spline (Durkan et al. 2019, arXiv:1906.04032, eq. 4-8).

    On the real line it is the identity outside [-bound, bound]. With `low` and `high` it maps that interval onto itself,
    and the slopes at both ends are free.

    Args:
        bins: Number of bins K, 2 to 500.
        bound: Half-width of the interval on the real line where the spline acts.
        low: Left end of a bounded domain; None for the real line.
        high: Right end of a bounded domain; None for the real line.

    Raises:
        SpecError: The number of bins or the bound is out of range, or only one of `low` and `high` is given.
    """

    bins: int = 8
    bound: float = 5.0
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Check the number of bins, the bound and the interval."""
        if not 2 <= self.bins <= 500:
            raise SpecError(f"expected 2 to 500 bins, got {self.bins}")
        if not 0 < self.bound < math.inf:
            raise SpecError(f"expected a finite bound > 0, got {self.bound}")
        if (self.low is None) != (self.high is None) or (
            self.low is not None and self.high is not None and self.low >= self.high
        ):
            raise SpecError(f"expected low < high or neither, got low={self.low}, high={self.high}")

    @property
    def n(self) -> int:
        """Number of free parameters: 3 K - 1 on the line, 3 K + 1 on an interval."""
        return 3 * self.bins - 1 if self.low is None else 3 * self.bins + 1

    def check(self, space: Space) -> None:
        """Check that the space is `Real`, or a space with this interval.

        Raises:
            SpecError: It is another one; the message names it.
        """
        if self.low is None:
            LineMap.check(self, space)  # type: ignore[arg-type]
        elif space.discrete or space.interval != (self.low, self.high):
            raise SpecError(f"expected a space with the spline's interval [{self.low}, {self.high}], got {space}")

    def _map(self, v: Tensor, p: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        if self.low is None or self.high is None:
            return rational_quadratic_tails(v, p, self.bound, inverse=inverse)
        return rational_quadratic_box(v, p, self.low, self.high, inverse=inverse)

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spline at x and its log-slope."""
        return self._map(x, p, inverse=False)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverse spline at z and its log-slope, in closed form."""
        return self._map(z, p, inverse=True)


@dataclass(frozen=True)
class LogisticMixture(LineMap):
    """Logit of a mixture CDF: z = logit F(x) for K logistic components (Ho et al. 2019, arXiv:1902.00275, eq. 12-14).

    The inverse is computed by iteration inside an interval that contains the root.

    Args:
        components: Number of components K.
        bound: Upper bound of |log scale|.
        spread: Half-width of the interval on which the initial means are evenly spaced. Equal components would receive
            equal gradients and stay equal.
    """

    numeric_inverse = True
    components: int = 8
    bound: float = 6.0
    spread: float = 1.5

    @property
    def n(self) -> int:
        """Number of free parameters: 3 K for weights, means and log-scales."""
        return 3 * self.components

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return logit F(x) and its log-slope."""
        return logistic_mixture(x, p, self.bound, self.spread)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x with logit F(x) = z, and its log-slope."""
        return logistic_mixture(z, p, self.bound, self.spread, inverse=True)


@dataclass(frozen=True)
class RoundedShift(ScalarMap):
    """Integer shift z = x + round(u t) with a straight-through gradient (Hoogeboom et al. 2019, arXiv:1905.07376, eq. 6).

    Args:
        unit: Unit u of the shift; with a large unit, the network's outputs stay near one for large integers.
    """

    unit: float = 1.0
    n: int = 1

    def check(self, space: Space) -> None:
        """Check that the space is `Integers` without bounds.

        Raises:
            SpecError: It is another one; the message names it.
        """
        if not space.whole or space.interval != (-math.inf, math.inf):
            raise SpecError(f"RoundedShift needs all integers: expected Integers{space.shape}, got {space}")

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x + round(u t) and 0."""
        return x + round_through(self.unit * p[..., 0]), torch.zeros_like(x)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return z - round(u t) and 0."""
        return z - round_through(self.unit * p[..., 0]), torch.zeros_like(z)
