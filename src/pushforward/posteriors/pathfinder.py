"""Pathfinder: Gaussians along the paths of several optimisers, which locate the mass of a density and find its units.

From each start BFGS maximises log p. At every point of a path, the inverse Hessian H of -log p that BFGS has estimated gives a
Gaussian N(x + H grad log p(x), H); the one with the largest evidence bound is kept for the path (Zhang, Carpenter, Gelman,
Vehtari 2022, arXiv:2108.03782, algorithms 1 to 3, here with dense matrices in place of limited memory, because posteriors have
few parameters). The bound decides, not the height: if a density has a spike without mass, as in hierarchical models, the path
ends in the spike, but its best Gaussian lies elsewhere.

All paths move together, so one call of the log-density serves every path and every trial step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.score import value_and_score
from .importance_weights import Importance, importance, resample

Function = Callable[[Tensor], Tensor]
"""Function that returns log p of points (B, D), (B,) in nats; values need not be finite."""

WIDEST = 50.0
"""Width of the widest normal from which a path starts, in the units that `units` finds."""
TRIALS = (1 / 1024, 1 / 256, 1 / 64, 1 / 16, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
"""Lengths of the trial steps along a direction; the best one is taken."""
ITERATIONS = 100
"""Largest number of steps of a path."""
BOUND_DRAWS = 32
"""Number of draws that estimate the evidence bound of one Gaussian."""
CONVERGED = 1e-4
"""Gain of a step, in nats, below which a path ends."""
CHUNK = 2048
"""Largest number of points that are evaluated together."""


@dataclass(frozen=True)
class Gaussians:
    """Mixture of Gaussians with equal weights.

    Args:
        mean: Centres (K, D).
        factor: Lower triangular factors (K, D, D) of the covariances.
        bound: Evidence bound (K,) of each Gaussian, in nats.
    """

    mean: Tensor
    factor: Tensor
    bound: Tensor

    def sample(self, n: int) -> Tensor:
        """Return draws (n, D), the same number from each Gaussian."""
        which = torch.arange(n) % len(self.mean)
        noise = torch.randn(n, self.mean.shape[1], dtype=self.mean.dtype)
        return self.mean[which] + torch.einsum("nij,nj->ni", self.factor[which], noise)

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return draws (n, D) and their log-densities (n,) in nats."""
        x = self.sample(n)
        return x, self.log_prob(x)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density of the mixture at points (B, D), (B,) in nats."""
        away = (x[:, None] - self.mean).unsqueeze(-1)
        noise = torch.linalg.solve_triangular(self.factor, away, upper=False).squeeze(-1)
        return (_normal(noise) - _log_det(self.factor)).logsumexp(1) - math.log(len(self.mean))

    @property
    def best(self) -> tuple[Tensor, Tensor]:
        """Centre (D,) and factor (D, D) of the Gaussian with the largest bound."""
        k = int(self.bound.argmax())
        return self.mean[k], self.factor[k]


@torch.no_grad()
def units(log_p: Function, at: Tensor) -> Tensor:
    """Return, for each coordinate, the distance from a point at which log p changes by one nat or is not finite.

    Args:
        log_p: Log-density.
        at: Point (D,) where it is finite.

    Returns:
        Positive numbers (D,), powers of four; 1 where log p never changes by so much.
    """
    reach = 4.0 ** torch.arange(-17.0, 18.0, dtype=at.dtype)
    moves = torch.cat([reach, -reach])
    points = at + moves[:, None, None] * torch.eye(len(at), dtype=at.dtype)
    change = (_in_chunks(log_p, points.flatten(0, 1)) - log_p(at[None])).abs().reshape(2, len(reach), len(at))
    # A value that is not finite counts as a change of more than one nat: the comparison with NaN is false.
    far = (~(change < 1)).any(0)
    first = far.to(torch.uint8).argmax(0)
    return torch.where(far.any(0), reach[first], 1.0)


def pathfinder(log_p: Function, start: Tensor, *, paths: int = 16, width: float = 1.0) -> Gaussians | None:
    """Run the optimisers and return the best Gaussian of every path that found one; None if no path did.

    Args:
        log_p: Log-density; it need not be finite everywhere.
        start: Point (D,) where it is finite. The first path starts there, and the others at draws of normals around it, each
            wider than the one before.
        paths: Number of paths.
        width: Factor on the widths of these normals.
    """
    scale = units(log_p, start)
    found = _paths(log_p, start, scale, paths, width)
    if found is None:
        return None
    # At a start far from the mass, the units are those of the tail. Search again with the units of the mass itself.
    centre = found.best[0]
    better = units(log_p, centre)
    if bool(((better / scale).log().abs() > math.log(30.0)).any()):
        again = _paths(log_p, centre, better, paths, width)
        if again is not None and float(again.bound.max()) > float(found.bound.max()) - 1:
            return again
    return found


@torch.no_grad()
def _paths(log_p: Function, start: Tensor, scale: Tensor, paths: int, width: float) -> Gaussians | None:
    """Run the paths in coordinates u with x = start + scale * u."""
    size, dtype = len(start), start.dtype

    def height(u: Tensor) -> Tensor:
        value = _in_chunks(log_p, (start + scale * u.to(dtype)).reshape(-1, size)).double()
        return torch.where(value.isfinite(), value, -math.inf).reshape(u.shape[:-1])

    def slope(u: Tensor) -> Tensor:
        _, score = value_and_score(lambda x, _: log_p(x), start + scale * u.to(dtype))
        return torch.nan_to_num(score * scale, 0.0, 0.0, 0.0).double()

    widths = torch.logspace(0, math.log10(WIDEST), max(paths - 1, 1), dtype=torch.float64)[: paths - 1]
    u = torch.cat(
        [torch.zeros(1, size, dtype=torch.float64), width * widths[:, None] * torch.randn(paths - 1, size).double()]
    )
    value = height(u)
    u, value = u[value > -math.inf], value[value > -math.inf]
    if not len(u):
        return None
    gradient = slope(u)
    eye = torch.eye(size, dtype=torch.float64)
    # The first step, and the first step after all trial steps have failed, has length one for every slope.
    fresh = torch.ones(len(u), dtype=torch.bool)
    inverse = _unit_steps(gradient)
    noise = torch.randn(BOUND_DRAWS, size).double()
    trials = torch.tensor(TRIALS, dtype=torch.float64)
    mean, factor = u.clone(), eye.expand(len(u), -1, -1).clone()
    bound = torch.full((len(u),), -math.inf, dtype=torch.float64)
    live = torch.ones(len(u), dtype=torch.bool)
    for _ in range(ITERATIONS):
        # Newton direction H grad log p. All trial lengths of all paths are evaluated in one call.
        direction = torch.einsum("kij,kj->ki", inverse, gradient)
        heights = height(u[:, None] + trials[:, None] * direction[:, None])
        best, which = heights.max(1)
        gain = best - value
        move = live & (gain > 0)
        new = torch.where(move[:, None], u + trials[which][:, None] * direction, u)
        rise = slope(new)
        # s = new - u, and y = gradient - rise is the change of the gradient of -log p.
        inverse = _updated(inverse, new - u, gradient - rise, trials[which], fresh & move)
        u, value, gradient = new, torch.where(move, best, value), rise
        # A path that gains too little restarts once with a unit step along the gradient, and ends if that fails too.
        stuck = live & (gain <= CONVERGED)
        live = live & ~(stuck & fresh)
        inverse = torch.where((stuck & ~fresh & ~move)[:, None, None], _unit_steps(gradient), inverse)
        fresh = stuck
        # The Gaussian at this point: its centre is the end of a full Newton step. Its evidence bound is the mean of
        # log p - log q over draws with common noise, where log q = log N(noise) - log det(root).
        root, failed = torch.linalg.cholesky_ex(inverse)
        centre = u + torch.einsum("kij,kj->ki", inverse, gradient)
        drawn = centre[:, None] + torch.einsum("kij,nj->kni", root, noise)
        estimate = (height(drawn) - _normal(noise)).mean(1) + _log_det(root)
        better = (failed == 0) & (estimate > bound)
        bound = torch.where(better, estimate, bound)
        mean = torch.where(better[:, None], centre, mean)
        factor = torch.where(better[:, None, None], root, factor)
        if not bool(live.any()):
            break
    kept = bound > -math.inf
    if not bool(kept.any()):
        return None
    # From u to x: the covariance factor is multiplied by the scale, and -log q gains the sum of log scale.
    return Gaussians(
        (start + scale * mean[kept]).to(dtype),
        (scale[:, None] * factor[kept]).to(dtype),
        bound[kept] + scale.double().log().sum(),
    )


def _unit_steps(gradient: Tensor) -> Tensor:
    """Return matrices (K, D, D) that map gradients (K, D) to steps of length one."""
    return torch.eye(gradient.shape[1], dtype=gradient.dtype) / gradient.norm(dim=1).clamp_min(1e-12)[:, None, None]


def _updated(inverse: Tensor, moved: Tensor, turned: Tensor, length: Tensor, first: Tensor) -> Tensor:
    """Return the BFGS estimates (K, D, D) of the inverse Hessian of -log p after steps s (K, D) with gradient changes y (K, D).

        H' = (I - r s y^T) H (I - r y s^T) + r s s^T,    r = 1 / y^T s

    H' satisfies the secant equation H' y = s. Where y^T s is not positive, log p is not concave along the step. There H
    keeps its form and is multiplied by four times the length (K,) of the step, so that paths cross such regions in a few
    growing steps.
    """
    product = (moved * turned).sum(1)
    curved = product > 1e-10 * moved.norm(dim=1) * turned.norm(dim=1)
    ratio = 1 / torch.where(curved, product, 1.0)
    eye = torch.eye(moved.shape[1], dtype=moved.dtype)
    # The first matrix of a path is a multiple of the identity, the inverse curvature y^T s / y^T y along the step.
    along = product / turned.square().sum(1).clamp_min(1e-300)
    inverse = torch.where((curved & first)[:, None, None], along[:, None, None] * eye, inverse)
    left = eye - ratio[:, None, None] * moved[:, :, None] * turned[:, None]
    new = left @ inverse @ left.mT + ratio[:, None, None] * moved[:, :, None] * moved[:, None]
    return torch.where(curved[:, None, None], new, inverse * (4 * length).clamp_min(1.0)[:, None, None])


@torch.no_grad()
def weighed(log_p: Function, found: Gaussians, count: int) -> tuple[Tensor, Importance]:
    """Return draws of the density, by importance resampling of draws of the Gaussians, and the diagnostics of the weights.

    Args:
        log_p: Log-density.
        found: Gaussians to draw from.
        count: Number of draws.

    Returns:
        Draws (count, D), and the diagnostics of the weights.
    """
    x = found.sample(count)
    log_w = _in_chunks(log_p, x).double() - found.log_prob(x)
    weights = importance(torch.where(log_w.isfinite(), log_w, -math.inf))
    return x[resample(weights.log_weights, count)], weights


def _in_chunks(log_p: Function, x: Tensor) -> Tensor:
    return torch.cat([log_p(part) for part in x.split(CHUNK)])


def _normal(noise: Tensor) -> Tensor:
    """Return the log-density of the standard normal, over the last dimension."""
    return -noise.square().sum(-1) / 2 - noise.shape[-1] * math.log(2 * math.pi) / 2


def _log_det(factor: Tensor) -> Tensor:
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
