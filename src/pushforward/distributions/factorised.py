"""Base distributions with independent coordinates: normal, logistic, logit of Beta, Student t and uniform."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Box, Distribution, Real, Space
from ..errors import SpecError
from ..functional.beta_moments import log_beta
from ..functional.bounds import positive, sum_events


class Factorised(Distribution):
    """Base class with independent coordinates, log p(x) = sum_i log p(x_i); subclasses implement `_element` and `_draw`.

    Args:
        space: Space of one event.
    """

    zero: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        # One entry, not zero dimensions: torch.compile treats a float64 scalar as a constant, and would compile twice.
        self.register_buffer("zero", torch.zeros(1), persistent=False)

    @abc.abstractmethod
    def _element(self, x: Tensor) -> Tensor:
        """Return log p of every coordinate: (B, *shape) -> (B, *shape)."""

    @abc.abstractmethod
    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        """Return independent draws of one coordinate, in a given shape."""

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return sum_events(self._element(x))

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self._draw((n, *self.space.shape))
        return x, self._log_prob(x, context)

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        tiny = torch.finfo(self.zero.dtype).tiny
        return torch.rand(shape, dtype=self.zero.dtype, device=self.zero.device).clamp_min(tiny)


class Normal(Factorised):
    """Standard normal distribution: log p = -x^2 / 2 - log(2 pi) / 2 for each coordinate.

    Args:
        space: Space of one event.
    """

    def __init__(self, space: Real) -> None:
        super().__init__(space)

    def _element(self, x: Tensor) -> Tensor:
        return -0.5 * (x.square() + math.log(2 * math.pi))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        flat = x.reshape(x.shape[0], self.space.size)
        return torch.linalg.vecdot(flat, flat) * -0.5 - 0.5 * math.log(2 * math.pi) * self.space.size

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, dtype=self.zero.dtype, device=self.zero.device)


class Logistic(Factorised):
    """Standard logistic distribution: log p = log sigmoid(x) + log sigmoid(-x) for each coordinate.

    Args:
        space: Space of one event.
    """

    def __init__(self, space: Real) -> None:
        super().__init__(space)

    def _element(self, x: Tensor) -> Tensor:
        return F.logsigmoid(x) + F.logsigmoid(-x)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return torch.logit(self._uniform(shape).clamp_max(1 - torch.finfo(self.zero.dtype).eps / 2))


class LogitBeta(Factorised):
    """Distribution of the logit of a Beta variable: sigmoid(x) ~ Beta(a, b) for each coordinate. With a = b = 1 it is logistic.

        log p = a log sigmoid(x) + b log sigmoid(-x) - log B(a, b)

    Args:
        space: Space of one event.
        a: Parameter a of the Beta distribution, at least 0.1.
        b: Parameter b, at least 0.1.

    Raises:
        SpecError: A parameter is below 0.1, where draws underflow.
    """

    def __init__(self, space: Real, a: float = 2.0, b: float = 2.0) -> None:
        super().__init__(space)
        if not (0.1 <= a < math.inf and 0.1 <= b < math.inf):
            raise SpecError(f"expected finite parameters a, b >= 0.1 of a Beta distribution, got {a} and {b}")
        self.a, self.b = a, b

    def _element(self, x: Tensor) -> Tensor:
        return self.a * F.logsigmoid(x) + self.b * F.logsigmoid(-x) - log_beta(self.a, self.b)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        # If g and h are Gamma variables, g / (g + h) is a Beta variable, whose logit is log g - log h.
        tiny = torch.finfo(self.zero.dtype).tiny
        g, h = (torch._standard_gamma(self.zero.new_full(shape, v)).clamp_min(tiny).log() for v in (self.a, self.b))
        return g - h


class StudentT(Factorised):
    """Student t distribution with learned degrees of freedom for each coordinate, for heavy tails.

        log p = lgamma((v + 1) / 2) - lgamma(v / 2) - log(v pi) / 2 - (v + 1) / 2 log(1 + x^2 / v)

    Args:
        space: Space of one event.
        df: Initial degrees of freedom v, above 1/2.

    Raises:
        SpecError: The argument `df` is at most 1/2.
    """

    def __init__(self, space: Real, df: float = 5.0) -> None:
        super().__init__(space)
        if df <= 0.5:
            raise SpecError(f"expected df > 0.5, got {df}")
        start = math.log(math.expm1(df - 0.5)) - math.log(math.expm1(1.0))
        self.free = nn.Parameter(torch.full(space.shape, start))

    @property
    def df(self) -> Tensor:
        """Degrees of freedom, above 1/2."""
        return positive(self.free) + 0.5

    def _element(self, x: Tensor) -> Tensor:
        v = self.df
        constant = torch.lgamma((v + 1) / 2) - torch.lgamma(v / 2) - 0.5 * torch.log(v * math.pi)
        return constant - (v + 1) / 2 * torch.log1p(x.square() / v)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        v = self.df.expand(shape)
        gamma = torch._standard_gamma(v / 2).clamp_min(torch.finfo(v.dtype).tiny)
        return torch.randn_like(gamma) * torch.rsqrt(2 * gamma / v)


class Uniform(Factorised):
    """Uniform distribution on a box with finite bounds.

    Args:
        space: Box with finite bounds.

    Raises:
        SpecError: A bound is infinite.
    """

    def __init__(self, space: Box) -> None:
        super().__init__(space)
        if not (math.isfinite(space.low) and math.isfinite(space.high)):
            raise SpecError(f"expected finite bounds, got {space}")
        self.low, self.width = space.low, space.high - space.low

    def _element(self, x: Tensor) -> Tensor:
        return torch.full_like(x, -math.log(self.width))

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self.low + self.width * torch.rand(shape, dtype=self.zero.dtype, device=self.zero.device)
