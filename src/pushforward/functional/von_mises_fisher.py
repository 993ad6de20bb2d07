"""The von Mises-Fisher distribution p(x) = exp(k (m.x - 1)) / Z(k) of unit vectors x in n dimensions, with |m| = 1 and k >= 0.

With the distance s = 1 - m.x, which lies in [0, 2], and A_(n-2) the area of the unit sphere in n - 1 dimensions,

    Z(k) = A_(n-2) int_0^2 (s (2 - s))^((n-3)/2) exp(-k s) ds.

The substitution s = 2 / (1 + exp(-y)) makes the integrand analytic around the real line and lets it fall exponentially at both
ends. The trapezoidal rule with equal steps of y then has an error at the level of rounding, for all k from 0 to `LARGEST`
(Trefethen, Weideman 2014). All weights are positive, so log Z and its derivatives follow from a softmax without cancellation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST = 1e6
"""Largest concentration for which the rule is exact up to rounding."""


def height_rule(n: int, device: torch.device | None = None) -> Tensor:
    """Return the distances s_i and the logarithms of the weights w_i, (2, M) in float64, with Z(k) = sum_i w_i exp(-k s_i).

    Args:
        n: Number of dimensions, at least 2.
        device: Device of the result.
    """
    # The integrand is (sigma (1 - sigma))^((n-1)/2) exp(-2 k sigma) with sigma = 1 / (1 + exp(-y)). In a strip of half-width
    # pi / 2 it is bounded, so the error is about exp(-pi^2 / step). In many dimensions it is as narrow as a Gaussian of
    # deviation sqrt(2 / (n - 1)), and the step must be smaller.
    step = min(0.25, 1.0 / math.sqrt(n - 1))
    reach = 76 / (n - 1) + 20 / math.sqrt(n - 1)
    y = torch.arange(-reach - math.log(2 * LARGEST), reach, step, dtype=torch.float64, device=device)
    sides = torch.nn.functional.logsigmoid(y) + torch.nn.functional.logsigmoid(-y)
    area = math.log(2) + (n - 1) / 2 * math.log(math.pi) - math.lgamma((n - 1) / 2)
    return torch.stack([2 * y.sigmoid(), (n - 1) / 2 * sides + (n - 2) * math.log(2) + math.log(step) + area])


def log_normaliser(kappa: Tensor, rule: Tensor) -> Tensor:
    """Return log Z(k): (...) -> (...) in nats.

    Args:
        kappa: Concentrations k, from 0 to `LARGEST`.
        rule: Result of `height_rule`, in the dtype of the concentrations.
    """
    return (rule[1] - kappa.unsqueeze(-1) * rule[0]).logsumexp(-1)


def distance_moments(kappa: Tensor, rule: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance of the distance s = 1 - m.x, each (...); m.x has the mean 1 - mean."""
    weights = (rule[1] - kappa.unsqueeze(-1) * rule[0]).softmax(-1)
    mean = (weights * rule[0]).sum(-1)
    return mean, (weights * (rule[0] - mean.unsqueeze(-1)).square()).sum(-1)


def concentration(distance: Tensor, rule: Tensor, n: int, largest: float) -> Tensor:
    """Return the concentrations at which the mean distance has given values, by Newton's method; at most `largest`.

    This is the maximum-likelihood estimate for points whose mean vector has length 1 - distance.

    Args:
        distance: Mean distances in (0, 1], (...).
        rule: Result of `height_rule`.
        n: Number of dimensions.
        largest: Upper bound of the result.
    """
    length = (1 - distance).clamp(0, 1)
    # The start of Banerjee, Dhillon, Ghosh, Sra 2005, with 1 - length^2 = distance (2 - distance).
    kappa = (length * (n - length.square()) / (distance * (2 - distance)).clamp_min(1e-12)).clamp(0, largest)
    for _ in range(20):
        mean, variance = distance_moments(kappa, rule)
        # The mean distance falls with k at the rate of the variance. A step changes k by a factor of about four at most.
        moved = kappa + (mean - distance) / variance.clamp_min(1e-300)
        before = kappa
        kappa = torch.minimum(torch.maximum(moved, kappa / 4), 4 * kappa + 1).clamp(0, largest)
        if bool(((kappa - before).abs() <= 1e-9 * (1 + kappa)).all()):
            break
    return kappa


def draw_angles(kappa: Tensor, n: int, rule: Tensor) -> Tensor:
    """Return draws of the angle between x and m in [0, pi], one for each concentration, with gradients.

    In three dimensions s follows from a uniform number u in closed form, s = -log(1 - u (1 - exp(-2 k))) / k. Otherwise it
    comes from rejection with a beta envelope (Ulrich 1984; Wood 1994), which in two dimensions is the wrapped Cauchy
    distribution of Best and Fisher 1979. The gradient is that of the quantile at a fixed probability (see `_quantile_slope`).

    Args:
        kappa: Concentrations (B,).
        n: Number of dimensions.
        rule: Result of `height_rule`, in the dtype of the concentrations.
    """
    with torch.no_grad():
        exact = kappa.double()
        if n == 3:
            u = torch.rand_like(exact)
            tiny = exact.clamp_min(1e-12)
            distance = -torch.log1p(u * torch.expm1(-2 * tiny)) / tiny
        else:
            distance = _rejected(exact, n)
        angle = 2 * (distance.clamp(0, 2) / 2).sqrt().asin()
    found = angle.to(kappa.dtype)
    if not (torch.is_grad_enabled() and kappa.requires_grad):
        return found
    with torch.no_grad():
        slope = _quantile_slope(angle, exact, n, rule.double()).to(kappa.dtype)
    return found + (kappa - kappa.detach()) * slope


def _rejected(kappa: Tensor, n: int) -> Tensor:
    """Return draws of the distance s = 1 - m.x by rejection, (B,)."""
    distance = torch.zeros_like(kappa)
    left = torch.arange(len(kappa), device=kappa.device)
    half = torch.full_like(kappa, (n - 1) / 2)
    while len(left):
        k, a = kappa[left], half[left]
        b = (n - 1) / (2 * k + torch.sqrt(4 * k.square() + (n - 1) ** 2))
        # A beta variable is a ratio of gamma variables.
        first, second = torch._standard_gamma(a), torch._standard_gamma(a)
        z = first / (first + second).clamp_min(1e-300)
        # 1 - (1 - (1 + b) z) / (1 - (1 - b) z), without cancellation for concentrated draws.
        s = 2 * b * z / (1 - (1 - b) * z)
        # The envelope touches the density at m.x = (1 - b) / (1 + b), where s is `touch`.
        touch = 2 * b / (1 + b)
        ratio = (touch + (1 - touch) * s) / (touch * (2 - touch))
        accepted = k * (touch - s) + (n - 1) * ratio.log() >= torch.rand_like(k).log()
        distance[left[accepted]] = s[accepted]
        left = left[~accepted]
    return distance


def _quantile_slope(angle: Tensor, kappa: Tensor, n: int, rule: Tensor) -> Tensor:
    """Return d angle / d k at a fixed probability u = F(angle; k), (B,).

    Because F(angle(k); k) is constant, the derivative is -(dF/dk) / p(angle). The density of the angle t is proportional to
    q(t) = sin(t)^(n-2) exp(-k s(t)) with s(t) = 1 - cos t, and its logarithm has the derivative E s - s(t) in k, so

        d angle / d k = int_0^angle (s(t) - E s) q(t) dt / q(angle).

    The integral over [0, pi] is zero; beyond a right angle, minus the integral from the angle to pi is computed instead.
    """
    nodes, weights = _gauss_legendre(64, angle)
    mean = distance_moments(kappa, rule)[0][:, None]
    end = torch.where(angle > math.pi / 2, math.pi, 0.0).to(angle)
    width = (angle - end)[:, None]
    t = end[:, None] + width * nodes
    s, here = 2 * (t / 2).sin().square(), 2 * (angle / 2).sin().square()[:, None]
    ratio = (t.sin() / angle.sin().clamp_min(1e-300)[:, None]).pow(n - 2) * (kappa[:, None] * (here - s)).exp()
    return (weights * width * (s - mean) * ratio).sum(1)


def _gauss_legendre(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of the Gauss-Legendre rule on [0, 1], each (count,)."""
    # The nodes on [-1, 1] are the eigenvalues of the symmetric tridiagonal matrix of the recurrence (Golub, Welsch 1969).
    k = torch.arange(1, count, dtype=torch.float64, device=like.device)
    side = k / (4 * k.square() - 1).sqrt()
    values, vectors = torch.linalg.eigh(torch.diag(side, 1) + torch.diag(side, -1))
    return (values + 1) / 2, vectors[0].square()
