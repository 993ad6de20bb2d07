"""Scalar maps: increasing functions of one number, with parameters that something else supplies.

A scalar map is a value: it holds its hyper-parameters, says how many free parameters `n` one coordinate needs, and maps
x with p of shape (*x.shape, n) to z and log dz/dx. Element-wise, coupling and autoregressive layers all use it; a new map
is written once and fits all three. Free parameters are put in range here, smoothly; p = 0 is the identity or close to it.
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
    """What a scalar map offers."""

    @property
    def n(self) -> int:
        """Free parameters for one coordinate."""

    @property
    def numeric_inverse(self) -> bool:
        """Whether the inverse is found by iteration, at the cost of many evaluations."""

    def check(self, space: Space) -> None:
        """Refuse a space whose coordinates it does not map onto themselves.

        Raises:
            SpecError: naming the space.
        """

    def part(self, which: int | Sequence[int]) -> Scalar:
        """The map for one coordinate, or for some of them."""

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """x (...), p (..., n) -> z (...), log dz/dx (...)."""

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """z (...), p (..., n) -> x (...), log dx/dz (...)."""


class ScalarMap:
    """What maps that are the same for every coordinate share."""

    numeric_inverse = False

    def part(self, which: int | Sequence[int]) -> Self:
        """Itself."""
        return self


class LineMap(ScalarMap):
    """Base class of scalar maps of the real line onto itself, the same for every coordinate."""

    def check(self, space: Space) -> None:
        """Refuse anything but `Real`.

        Raises:
            SpecError: naming the space.
        """
        if type(space) is not Real:
            raise SpecError(f"{type(self).__name__} maps the real line, expected Real{space.shape}, got {space}")


@dataclass(frozen=True)
class Additive(LineMap):
    """z = x + t (Dinh et al. 2015, arXiv:1410.8516, eq. 3). Volume-preserving."""

    n: int = 1

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """x + t, 0."""
        return x + p[..., 0], torch.zeros_like(x)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """z - t, 0."""
        return z - p[..., 0], torch.zeros_like(z)


@dataclass(frozen=True)
class Affine(LineMap):
    """z = x exp(s) + t, with s a smoothly bounded free parameter (Dinh et al. 2017, arXiv:1605.08803, eq. 4).

    Args:
        bound: |s| stays below it.
    """

    bound: float = 4.0
    n: int = 2

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """x exp(s) + t, s."""
        return affine(x, p, self.bound)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """(z - t) exp(-s), -s."""
        return affine(z, p, self.bound, inverse=True)


@dataclass(frozen=True)
class GatedAffine(LineMap):
    """z = g x + (1 - g) m with a gate g = sigmoid(s + shift) (Kingma et al. 2016, arXiv:1606.04934, eq. 13-14).

    Args:
        shift: Shift of the free parameter; 2 starts at g = 0.88.
        bound: Bound of |s|, so that g cannot vanish.
    """

    shift: float = 2.0
    bound: float = 4.0
    n: int = 2

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """G x + (1 - g) m, log g."""
        return gated(x, p, self.bound, self.shift)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """(z - (1 - g) m) / g, -log g."""
        return gated(z, p, self.bound, self.shift, inverse=True)


@dataclass(frozen=True)
class Sigmoidal(LineMap):
    """z = (x + t) g, g = gain sigmoid(s + shift), with s a smoothly bounded free parameter.

    With gain 1 and shift 2 the affine coupling of Glow's code (Kingma and Dhariwal 2018, arXiv:1807.03039); with gain 2 and
    shift 0 that of Jet (Kolesnikov et al. 2024, arXiv:2412.15129), which starts as the identity.

    Args:
        gain: largest slope.
        shift: Shift of the free parameter.
        bound: Bound of |s|, so that g cannot vanish.
    """

    gain: float = 1.0
    shift: float = 2.0
    bound: float = 4.0
    n: int = 2

    def _gate(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s = soft_clip(p[..., 0], self.bound) + self.shift
        return self.gain * s.sigmoid(), F.logsigmoid(s) + math.log(self.gain), p[..., 1]

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """(x + t) g, log g."""
        g, log_g, t = self._gate(p)
        return (x + t) * g, log_g

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Z / g - t, -log g."""
        g, log_g, t = self._gate(p)
        return z / g - t, -log_g


@dataclass(frozen=True)
class Composed(ScalarMap):
    """One scalar map after another: z = second(first(x)), each with its own parameters.

    Args:
        first: applied first, with the first parameters.
        second: applied second, with the others.
    """

    first: Scalar
    second: Scalar

    @property
    def n(self) -> int:
        """The sum of both."""
        return self.first.n + self.second.n

    @property
    def numeric_inverse(self) -> bool:  # type: ignore[override]
        """Whether one of them has one."""
        return self.first.numeric_inverse or self.second.numeric_inverse

    def check(self, space: Space) -> None:
        """Refuse what one of them refuses.

        Raises:
            SpecError: naming the space.
        """
        self.first.check(space)
        self.second.check(space)

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """second(first(x)), the sum of the log-slopes."""
        y, inner = self.first.forward(x, p[..., : self.first.n])
        z, outer = self.second.forward(y, p[..., self.first.n :])
        return z, inner + outer

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """first^-1(second^-1(z)), the sum of the log-slopes."""
        y, outer = self.second.inverse(z, p[..., self.first.n :])
        x, inner = self.first.inverse(y, p[..., : self.first.n])
        return x, outer + inner


@dataclass(frozen=True)
class RationalQuadratic(ScalarMap):
    """Rational-quadratic spline (Durkan et al. 2019, arXiv:1906.04032, eq. 4-8).

    On the line it is the identity outside [-bound, bound]. With `low` and `high` it maps that interval onto itself, with
    free slopes at both ends.

    Args:
        bins: K, at least 2.
        bound: half-width of the spline's part on the line.
        low: left end of a bounded domain; None for the line.
        high: right end of it.

    Raises:
        SpecError: fewer than 2 or more than 500 bins, a bound that is not positive, half an interval.
    """

    bins: int = 8
    bound: float = 5.0
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a spline."""
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
        """3 K - 1 on the line, 3 K + 1 on an interval."""
        return 3 * self.bins - 1 if self.low is None else 3 * self.bins + 1

    def check(self, space: Space) -> None:
        """Refuse anything but `Real`, or but the `Box` of the interval.

        Raises:
            SpecError: naming the space.
        """
        if self.low is None:
            LineMap.check(self, space)  # type: ignore[arg-type]
        elif space.discrete or space.interval != (self.low, self.high):
            raise SpecError(f"this spline maps [{self.low}, {self.high}], got {space}")

    def _map(self, v: Tensor, p: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        if self.low is None or self.high is None:
            return rational_quadratic_tails(v, p, self.bound, inverse=inverse)
        return rational_quadratic_box(v, p, self.low, self.high, inverse=inverse)

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """The spline at x."""
        return self._map(x, p, inverse=False)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Its inverse at z, in closed form."""
        return self._map(z, p, inverse=True)


@dataclass(frozen=True)
class LogisticMixture(LineMap):
    """z = logit F(x), F the CDF of a mixture of K logistics (Ho et al. 2019, arXiv:1902.00275, eq. 12-14).

    The inverse is numeric, inside an exact bracket.

    Args:
        components: K.
        bound: |log scale| stays below it.
        spread: the components start evenly spaced on [-spread, spread]; equal ones could never part.
    """

    numeric_inverse = True
    components: int = 8
    bound: float = 6.0
    spread: float = 1.5

    @property
    def n(self) -> int:
        """3 K: weights, means, log-scales."""
        return 3 * self.components

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """logit F(x)."""
        return logistic_mixture(x, p, self.bound, self.spread)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """x with logit F(x) = z."""
        return logistic_mixture(z, p, self.bound, self.spread, inverse=True)


@dataclass(frozen=True)
class RoundedShift(ScalarMap):
    """z = x + round(u t) on the integers, with a straight-through gradient (Hoogeboom et al. 2019, arXiv:1905.07376, eq. 6).

    Args:
        unit: u, so that networks need not make large numbers.
    """

    unit: float = 1.0
    n: int = 1

    def check(self, space: Space) -> None:
        """Refuse anything but unbounded `Integers`.

        Raises:
            SpecError: naming the space.
        """
        if not space.whole or space.interval != (-math.inf, math.inf):
            raise SpecError(f"RoundedShift maps all the integers, expected Integers{space.shape}, got {space}")

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """x + round(u t), 0."""
        return x + round_through(self.unit * p[..., 0]), torch.zeros_like(x)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """z - round(u t), 0."""
        return z - round_through(self.unit * p[..., 0]), torch.zeros_like(z)
