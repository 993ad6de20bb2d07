"""Pair copulas: log-densities, h-functions h(v | u) = dC(u, v) / du and their inverses.

All numbers are in float64, inside [LEAST, 1 - LEAST]. Each family has one or two parameters in an open range, and models
positive dependence. Rotations give the rest: by 90 degrees c(1 - u, v), by 180 c(1 - u, 1 - v), by 270 c(u, 1 - v)
(Aas, Czado, Frigessi and Bakken 2009; Nagler and Czado 2016 for the kernel family).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from .student_t import student_cdf, student_log_density, student_quantile

LEAST = 1e-12
"""Distance from 0 and 1 inside which numbers are moved."""


def inside(u: Tensor) -> Tensor:
    """Return u moved into [LEAST, 1 - LEAST]."""
    return u.clamp(LEAST, 1 - LEAST)


class Family(abc.ABC):
    """Family of pair copulas that are symmetric, c(u, v) = c(v, u).

    `ranges` has the ends of each parameter. `rotates` is whether rotations by 90 degrees give negative dependence, and
    `radial` whether the rotation by 180 degrees changes nothing.
    """

    name: ClassVar[str]
    ranges: ClassVar[Sequence[tuple[float, float]]] = ()
    rotates: ClassVar[bool] = True
    radial: ClassVar[bool] = False

    def parameters(self, free: Tensor) -> list[Tensor]:
        """Return the parameters low + (high - low) sigmoid(p) from free parameters p (2,)."""
        return [low + (high - low) * free[i].sigmoid() for i, (low, high) in enumerate(self.ranges)]

    @abc.abstractmethod
    def log_density(self, u: Tensor, v: Tensor, *theta: Tensor) -> Tensor:
        """Return log c(u, v): (N,), (N,) -> (N,)."""

    @abc.abstractmethod
    def h(self, v: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return the conditional distribution function of v given u, the derivative of C(u, v) in u."""

    @abc.abstractmethod
    def h_inverse(self, w: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return the v with h(v | u) = w."""


class Independence(Family):
    """Independence copula, c = 1."""

    name = "independence"
    rotates, radial = False, True

    def log_density(self, u: Tensor, v: Tensor, *theta: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(u)

    def h(self, v: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return v."""
        return v

    def h_inverse(self, w: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return w."""
        return w


class GaussianPair(Family):
    """Gaussian copula with the correlation r."""

    name = "gaussian"
    ranges = ((-0.9999, 0.9999),)
    rotates, radial = False, True

    def log_density(self, u: Tensor, v: Tensor, *theta: Tensor) -> Tensor:
        """Return -log(1 - r^2) / 2 - (r^2 (x^2 + y^2) - 2 r x y) / (2 (1 - r^2)) at the normal scores x and y."""
        (r,) = theta
        x, y, rest = torch.special.ndtri(u), torch.special.ndtri(v), 1 - r * r
        return -0.5 * rest.log() - (r * r * (x * x + y * y) - 2 * r * x * y) / (2 * rest)

    def h(self, v: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return Phi((y - r x) / sqrt(1 - r^2))."""
        (r,) = theta
        x, y = torch.special.ndtri(u), torch.special.ndtri(v)
        return torch.special.ndtr((y - r * x) / (1 - r * r).sqrt())

    def h_inverse(self, w: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return Phi(r x + sqrt(1 - r^2) Phi^-1(w))."""
        (r,) = theta
        return torch.special.ndtr(r * torch.special.ndtri(u) + (1 - r * r).sqrt() * torch.special.ndtri(w))


class StudentPair(Family):
    """Student copula with the correlation r and v degrees of freedom."""

    name = "student"
    ranges = ((-0.9999, 0.9999), (2.0, 50.0))
    rotates, radial = False, True

    def log_density(self, u: Tensor, v: Tensor, *theta: Tensor) -> Tensor:
        """Return the log-density of the bivariate t minus those of its margins, at the quantiles x and y."""
        return student_pair_log_density(student_quantile(u, theta[1]), student_quantile(v, theta[1]), *theta)

    def h(self, v: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return the conditional distribution function, that of a t with v + 1 degrees of freedom."""
        r, df = theta
        x, y = student_quantile(u, df), student_quantile(v, df)
        return student_cdf((y - r * x) / ((df + x * x) * (1 - r * r) / (df + 1)).sqrt(), df + 1)

    def h_inverse(self, w: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return the conditional quantile."""
        r, df = theta
        x = student_quantile(u, df)
        spread = ((df + x * x) * (1 - r * r) / (df + 1)).sqrt()
        return student_cdf(r * x + spread * student_quantile(w, df + 1), df)


def student_pair_log_density(x: Tensor, y: Tensor, r: Tensor, df: Tensor) -> Tensor:
    """Return the log-density of the Student copula at the quantiles x and y of its margins."""
    rest = 1 - r * r
    square = (x * x - 2 * r * x * y + y * y) / (df * rest)
    joint = -math.log(2 * math.pi) - 0.5 * rest.log() - (df + 2) / 2 * torch.log1p(square)
    return joint - student_log_density(x, df) - student_log_density(y, df)


class Clayton(Family):
    """Clayton copula C = (u^-t + v^-t - 1)^(-1/t), with dependence in the lower tail."""

    name = "clayton"
    ranges = ((1e-3, 28.0),)

    def _log_sum(self, log_u: Tensor, log_v: Tensor, t: Tensor) -> Tensor:
        """Return log(u^-t + v^-t - 1), without overflow."""
        a, b = -t * log_u, -t * log_v
        most = torch.maximum(a, b)
        return most + torch.log((a - most).exp() + (b - most).exp() - (-most).exp())

    def log_density(self, u: Tensor, v: Tensor, *theta: Tensor) -> Tensor:
        """Return log(1 + t) - (1 + t) log(u v) - (2 + 1/t) log(u^-t + v^-t - 1)."""
        (t,) = theta
        log_u, log_v = u.log(), v.log()
        return torch.log1p(t) - (1 + t) * (log_u + log_v) - (2 + 1 / t) * self._log_sum(log_u, log_v, t)

    def h(self, v: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return u^(-t - 1) (u^-t + v^-t - 1)^(-1 - 1/t)."""
        (t,) = theta
        log_u = u.log()
        return (-(1 + t) * log_u - (1 + 1 / t) * self._log_sum(log_u, v.log(), t)).exp()

    def h_inverse(self, w: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return (1 + u^-t (w^(-t / (1 + t)) - 1))^(-1/t)."""
        (t,) = theta
        more = torch.log(torch.expm1(-t / (1 + t) * w.log()))
        return (-torch.nn.functional.softplus(-t * u.log() + more) / t).exp()


class Gumbel(Family):
    """Gumbel copula C = exp(-s), s = (x^t + y^t)^(1/t), x = -log u, y = -log v, with dependence in the upper tail."""

    name = "gumbel"
    ranges = ((1.0, 20.0),)

    def _logs(self, u: Tensor, v: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log x, log y and log s."""
        log_x, log_y = (-u.log()).log(), (-v.log()).log()
        return log_x, log_y, torch.logaddexp(t * log_x, t * log_y) / t

    def log_density(self, u: Tensor, v: Tensor, *theta: Tensor) -> Tensor:
        """Return log of C (u v)^-1 (x y)^(t - 1) s^(2 - 2 t) (1 + (t - 1) / s)."""
        (t,) = theta
        log_x, log_y, log_s = self._logs(u, v, t)
        powers = (t - 1) * (log_x + log_y) + (1 - 2 * t) * log_s + (log_s.exp() + t - 1).log()
        return log_x.exp() + log_y.exp() - log_s.exp() + powers

    def h(self, v: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return C / u (x / s)^(t - 1)."""
        (t,) = theta
        log_x, _, log_s = self._logs(u, v, t)
        return (log_x.exp() - log_s.exp() + (t - 1) * (log_x - log_s)).exp()

    def h_inverse(self, w: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return v from the root s of s + (t - 1) log s = x + (t - 1) log x - log w, and y = (s^t - x^t)^(1/t).

        The left side is concave and s = x lies below the root, so Newton's method increases to it.
        """
        (t,) = theta
        x = -u.log()
        target = x + (t - 1) * x.log() - w.log()

        def newton(s: Tensor) -> Tensor:
            return s - (s + (t - 1) * s.log() - target) / (1 + (t - 1) / s).detach()

        with torch.no_grad():
            s = x
            for _ in range(40):
                s = torch.maximum(newton(s), x)
        s = newton(s)
        # s > x up to rounding, as w < 1.
        gap = torch.log(-torch.expm1((t * (x / s).log()).clamp_max(-1e-300)))
        return (-(s.log() + gap / t).exp()).exp()


class Frank(Family):
    """Frank copula C = -log(1 - (1 - e^(-t u)) (1 - e^(-t v)) / (1 - e^-t)) / t, without dependence in the tails."""

    name = "frank"
    ranges = ((1e-3, 35.0),)
    radial = True

    def _below(self, u: Tensor, v: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return e^(-t u) (1 - e^(-t v)) and D = 1 - e^-t - (1 - e^(-t u)) (1 - e^(-t v)), as sums of positive terms."""
        part = (-t * u).exp() * -torch.expm1(-t * v)
        return part, part + (-t * v).exp() * -torch.expm1(-t * (1 - v))

    def log_density(self, u: Tensor, v: Tensor, *theta: Tensor) -> Tensor:
        """Return log t (1 - e^-t) - t (u + v) - 2 log D."""
        (t,) = theta
        return (t * -torch.expm1(-t)).log() - t * (u + v) - 2 * self._below(u, v, t)[1].log()

    def h(self, v: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return e^(-t u) (1 - e^(-t v)) / D."""
        part, whole = self._below(u, v, *theta)
        return part / whole

    def h_inverse(self, w: Tensor, u: Tensor, *theta: Tensor) -> Tensor:
        """Return -log(1 - b) / t with b = w (1 - e^-t) / (e^(-t u) + w (1 - e^(-t u)))."""
        (t,) = theta
        near = (-t * u).exp()
        whole = near + w * -torch.expm1(-t * u)
        b = w * -torch.expm1(-t) / whole
        # 1 - b as a sum of positive terms, where b is near 1.
        rest = (near * (1 - w) + w * (-t).exp()) / whole
        return -torch.where(b < 0.5, torch.log1p(-b.clamp_max(0.5)), rest.log()) / t


FAMILIES: tuple[Family, ...] = (Independence(), GaussianPair(), StudentPair(), Clayton(), Gumbel(), Frank())
"""Families with a formula, at their numbers in saved models."""
KERNEL = len(FAMILIES)
"""Number of the kernel family in saved models."""
NAMES = (*(family.name for family in FAMILIES), "kernel")


def rotated(rotation: int, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Return u and v as the family sees them, and whether v is turned.

    Args:
        rotation: Angle in degrees: 0, 90, 180 or 270.
        u: First numbers.
        v: Second numbers.
    """
    turn = rotation in (180, 270)
    return 1 - u if rotation in (90, 180) else u, 1 - v if turn else v, turn
