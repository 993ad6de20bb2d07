"""Scalar maps of angles: increasing maps of the circle onto itself (Rezende et al. 2020, arXiv:2002.02428, section 2.1).

Each map sends 0 to 0 and then turns all angles by a phase, a free parameter of its own, so that no angle is special.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core import Space
from ..errors import SpecError
from ..functional.bounds import soft_clip
from ..functional.splines import rational_quadratic_box
from ..functional.turning import (
    TURN,
    Slopes,
    circle_inverse,
    circle_map,
    moebius_mixture,
    projection_mixture,
    wrapped,
)
from .scalar import ScalarMap


@dataclass(frozen=True)
class CircleMap(ScalarMap, abc.ABC):
    """Base class of scalar maps of the circle onto itself: z = f(x) + phase, modulo 2 pi, with f(0) = 0.

    Args:
        phase: Whether the last parameter turns the images; without it, every map leaves the angle 0 where it is.
    """

    phase: bool = field(default=True, kw_only=True)

    @property
    @abc.abstractmethod
    def inner(self) -> int:
        """Number of free parameters of f."""

    @property
    def n(self) -> int:
        """Number of free parameters: those of f, and the phase."""
        return self.inner + self.phase

    def check(self, space: Space) -> None:
        """Check that all coordinates are angles.

        Raises:
            SpecError: They are not; the message names the space.
        """
        if space.discrete or not all(space.angles):
            raise SpecError(f"{type(self).__name__} needs angles: expected Torus{space.shape}, got {space}")

    @abc.abstractmethod
    def fixed_forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(x) and log f'(x): x (...), p (..., inner)."""

    @abc.abstractmethod
    def fixed_inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the x with f(x) = z, and -log f'(x): z (...), p (..., inner)."""

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(x) + phase modulo 2 pi, and the log-slope."""
        if not self.phase:
            return self.fixed_forward(x, p)
        z, log_slope = self.fixed_forward(x, p[..., :-1])
        return wrapped(z + p[..., -1]), log_slope

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the x with f(x) + phase = z modulo 2 pi, and its log-slope."""
        if not self.phase:
            return self.fixed_inverse(z, p)
        return self.fixed_inverse(wrapped(z - p[..., -1]), p[..., :-1])


@dataclass(frozen=True)
class CircularSpline(CircleMap):
    """Rational-quadratic spline on [0, 2 pi] with equal slopes at both ends (Rezende et al. 2020, section 2.1.2).

    Args:
        bins: Number of bins K, 2 to 500.

    Raises:
        SpecError: The number of bins is out of range.
    """

    bins: int = 8

    def __post_init__(self) -> None:
        """Check the number of bins."""
        if not 2 <= self.bins <= 500:
            raise SpecError(f"expected 2 to 500 bins, got {self.bins}")

    @property
    def inner(self) -> int:
        """Number of free parameters: K widths, K heights and K slopes."""
        return 3 * self.bins

    def _closed(self, p: Tensor) -> Tensor:
        # The slope at 2 pi is that at 0, because both are the same point.
        return torch.cat([p, p[..., 2 * self.bins : 2 * self.bins + 1]], -1)

    def fixed_forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spline and its log-slope."""
        z, log_slope = rational_quadratic_box(x, self._closed(p), 0.0, TURN)
        return wrapped(z), log_slope

    def fixed_inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inverse spline and its log-slope, in closed form."""
        x, log_slope = rational_quadratic_box(z, self._closed(p), 0.0, TURN, inverse=True)
        return wrapped(x), log_slope


@dataclass(frozen=True)
class CircleMixture(CircleMap, abc.ABC):
    """Base class of convex combinations of K maps, f = sum_k rho_k f_k, with a numeric inverse.

    Args:
        components: Number of maps K.

    Raises:
        SpecError: There is no component.
    """

    numeric_inverse = True
    components: int = 8

    def __post_init__(self) -> None:
        """Check the number of components."""
        if self.components < 1:
            raise SpecError(f"expected at least one component, got {self.components}")

    @property
    def inner(self) -> int:
        """Number of free parameters: 3 K, a weight and two parameters of each map."""
        return 3 * self.components

    @abc.abstractmethod
    def mixed(self, weights: Tensor, first: Tensor, second: Tensor) -> Slopes:
        """Return f for free parameters of the weights and of the maps, (..., K) each."""

    def fixed_forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(x) and log f'(x)."""
        return circle_map(self.mixed(*p.chunk(3, -1)), x)

    def fixed_inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the x with f(x) = z, and -log f'(x)."""
        return circle_inverse(self.mixed(*p.chunk(3, -1)), z)


@dataclass(frozen=True)
class MoebiusMixture(CircleMixture):
    """Convex combination of Moebius maps, each of which gathers angles around a direction (Rezende et al. 2020, eq. 8-12).

    The vectors w start evenly spaced around the circle, with which the combination is almost the identity: equal components
    would receive equal gradients and stay equal.

    Args:
        spread: Length of the vectors w before they are shortened, at p = 0.
    """

    spread: float = 0.5

    def mixed(self, weights: Tensor, first: Tensor, second: Tensor) -> Slopes:
        """Return the combination for weights before the softmax and the free parameters of the vectors w."""
        k = torch.arange(self.components, dtype=first.dtype, device=first.device)
        direction = TURN * (k + 0.5) / self.components
        return moebius_mixture(weights, first + self.spread * direction.cos(), second + self.spread * direction.sin())


@dataclass(frozen=True)
class Projection(CircleMixture):
    """Convex combination of non-compact projections (Rezende et al. 2020, section 2.1.3).

    The shifts start evenly spaced in [-spread, spread], and all scales start at one.

    Args:
        bound: Upper bound of |log alpha|.
        spread: Half-width of the interval of the shifts beta at p = 0.
    """

    bound: float = 4.0
    spread: float = 0.5

    def mixed(self, weights: Tensor, first: Tensor, second: Tensor) -> Slopes:
        """Return the combination for weights before the softmax, log-scales before they are bounded, and shifts."""
        steps = torch.linspace(-1, 1, self.components, dtype=first.dtype, device=first.device)
        starts = self.spread * steps if self.components > 1 else 0 * steps
        return projection_mixture(weights, soft_clip(first, self.bound), second + starts)

    def fixed_inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the x with f(x) = z, and -log f'(x); in closed form for one component."""
        if self.components > 1:
            return super().fixed_inverse(z, p)
        # tan t -> (tan t - beta) / alpha is again a projection, with scale 1 / alpha and shift -beta / alpha.
        weight, first, shift = p.chunk(3, -1)
        log_scale = soft_clip(first, self.bound)
        return circle_map(projection_mixture(weight, -log_scale, -shift * (-log_scale).exp()), z)
