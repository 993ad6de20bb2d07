"""Numerical tools for one-dimensional densities: support, position and scale, quantiles, and expectations.

Expectations use double-exponential quadrature (Takahasi and Mori 1974): x = x(t) with dx/dt that falls doubly
exponentially, and the trapezoid rule in t. Integrable singularities at the ends of the support, such as that of 1 /
sqrt(x) at 0, do not reduce its accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import constraints

from ..core import Distribution
from ..core.torch_boundary import Conditioned
from ..errors import ShapeError, SpecError

_REACH = 5.0
_NODES = 512


class Integral(NamedTuple):
    """Result of a quadrature and an estimate of its error: the change at the last halving of the step."""

    value: Tensor
    error: Tensor


def as_torch(distribution: TorchDistribution | Distribution) -> TorchDistribution:
    """Return a distribution as one of `torch.distributions`; one of this library must not need a context.

    Raises:
        SpecError: The argument is not a distribution.
        ContextError: The distribution needs a context; pass `model.at(context)`.
    """
    if isinstance(distribution, Distribution):
        return distribution.at()
    if not isinstance(distribution, TorchDistribution):
        raise SpecError(
            f"expected a distribution of torch.distributions or of this library, got {type(distribution).__name__}"
        )
    return distribution


def element_support(distribution: TorchDistribution) -> constraints.Constraint:
    """Return the constraint on one coordinate of an event.

    Raises:
        SpecError: The support constrains several coordinates together, as a simplex does.
    """
    support = distribution.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support is None or support.event_dim:
        raise SpecError(f"expected a distribution whose coordinates have separate supports, got {distribution}")
    return support


def bounds(support: constraints.Constraint) -> tuple[Tensor, Tensor]:
    """Return the lower and upper bound of a constraint on numbers, infinite where there is none."""
    low, high = getattr(support, "lower_bound", -math.inf), getattr(support, "upper_bound", math.inf)
    return torch.as_tensor(low), torch.as_tensor(high)


def draw(distribution: TorchDistribution, shape: tuple[int, ...]) -> Tensor:
    """Return draws of a distribution of numbers, without an event dimension of length 1."""
    x = distribution.sample(torch.Size(shape))
    return x.squeeze(-1) if distribution.event_shape else x


def probe(distribution: TorchDistribution, n: int = 256) -> Tensor:
    """Return fixed draws for inspection of a distribution; the random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return distribution.sample(torch.Size((n,)))


def require_scalar(distribution: TorchDistribution) -> None:
    """Check that a distribution is one of single numbers without batch dimensions.

    Raises:
        ShapeError: It has other dimensions.
    """
    if distribution.batch_shape != () or distribution.event_shape not in ((), (1,)):
        raise ShapeError(
            f"expected a distribution of one number, got batch shape {tuple(distribution.batch_shape)} "
            f"and event shape {tuple(distribution.event_shape)}"
        )


def log_density(distribution: TorchDistribution, x: Tensor) -> Tensor:
    """Return log p(x) in float64 for a distribution of numbers; -inf outside the support and at NaN."""
    support = element_support(distribution)
    inside = support.check(x) & x.isfinite()
    safe = torch.where(inside, x, draw_inside(distribution).to(x.dtype))
    if isinstance(distribution, Conditioned):
        safe = safe.to(distribution.model.dtype)
    logp = distribution.log_prob(safe.unsqueeze(-1) if distribution.event_shape else safe)
    return torch.where(inside, logp.double(), -math.inf)


def draw_inside(distribution: TorchDistribution) -> Tensor:
    """Return a point of the support."""
    point = probe(distribution, 1)[0]
    return point.squeeze(-1) if distribution.event_shape else point


def position(distribution: TorchDistribution) -> tuple[Tensor, Tensor]:
    """Return a centre and a width in float64: the median and the interquartile range of a few draws."""
    x = probe(distribution).double()
    x = x.squeeze(-1) if distribution.event_shape else x
    low, middle, high = x.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=x.dtype), 0)
    return middle, (high - low).clamp_min(1e-300)


def quantile(
    cdf: Callable[[Tensor], Tensor], u: Tensor, low: Tensor, high: Tensor, middle: Tensor, width: Tensor
) -> Tensor:
    """Return the x with cdf(x) = u, by bisection, for each element of u; infinite bounds are first replaced by finite ones."""
    with torch.no_grad():
        u, low, high = torch.broadcast_tensors(u.double(), low.double(), high.double())
        reach = width
        left, right = low.clone(), high.clone()
        # Double the finite interval until it contains the quantile.
        for _ in range(1000):
            left = torch.where(low.isinf(), middle - reach, low)
            right = torch.where(high.isinf(), middle + reach, high)
            short = (low.isinf() & (cdf(left) > u)) | (high.isinf() & (cdf(right) < u))
            if not bool(short.any()) or not bool(reach.max() < 1e150):
                break
            reach = reach * 2
        for _ in range(200):
            centre = (left + right) / 2
            below = cdf(centre) < u
            # The midpoint equals an end when no number of float64 lies between the ends.
            if bool(((centre == left) | (centre == right)).all()):
                break
            left, right = torch.where(below, centre, left), torch.where(below, right, centre)
        return (left + right) / 2


def integrate(distribution: TorchDistribution, function: Callable[[Tensor], Tensor]) -> Integral:
    """Return the integral of p(x) function(x) over the support of a continuous distribution, for every batch entry.

    Args:
        distribution: Continuous distribution of numbers, with event shape () or (1,).
        function: Elementwise function of float64 values (nodes, *batch).

    Returns:
        Value and error, each of shape (*batch,).
    """
    low, high = bounds(element_support(distribution))
    if low.dim() and distribution.event_shape:
        low, high = low.squeeze(-1), high.squeeze(-1)
    middle, width = position(distribution)
    t = torch.linspace(-_REACH, _REACH, 2 * _NODES + 1, dtype=torch.float64)
    t = t.reshape(-1, *[1] * len(distribution.batch_shape))
    x, weight = _substitute(t, low.double(), high.double(), middle, width)
    density = log_density(distribution, x).exp()
    mass = density * weight
    # Far out, where there is almost no mass, the function may overflow. Where x rounds to a pole, the density does.
    used = (mass > 1e-100) & mass.isfinite()
    terms = torch.where(used, mass * function(x), 0.0)
    step = _REACH / _NODES
    # Every second node gives the trapezoid rule with twice the step.
    fine, coarse = terms.sum(0) * step, terms[::2].sum(0) * 2 * step
    return Integral(fine, (fine - coarse).abs())


def _substitute(t: Tensor, low: Tensor, high: Tensor, middle: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """Return x(t) and dx/dt, for an interval that is finite, half-infinite or infinite."""
    # x = c + w sinh(u) on the line, a + w exp(u) on a half-line, and a sigmoid on an interval, with u = pi/2 sinh(t).
    u, du = math.pi / 2 * t.sinh(), math.pi / 2 * t.cosh()
    both, left, right = low.isinf() & high.isinf(), high.isinf(), low.isinf()
    start, end = torch.where(right, 0.0, low), torch.where(left, 0.0, high)
    scale = torch.where(both, width, 1.0)
    line, line_slope = middle + scale * u.sinh(), scale * u.cosh() * du
    grow = width * u.exp()
    finite = start + (end - start) * (2 * u).sigmoid()
    # d/du sigmoid(2 u) = 2 sigmoid(2 u) sigmoid(-2 u), without the cancellation of 1 - sigmoid at the right end.
    finite_slope = (end - start) * 2 * (2 * u).sigmoid() * (-2 * u).sigmoid() * du
    x = torch.where(both, line, torch.where(left, start + grow, torch.where(right, end - grow, finite)))
    slope = torch.where(both, line_slope, torch.where(left | right, grow * du, finite_slope))
    return x, slope
