"""Search for the start of training: location and units of the mass, and whether one Gaussian covers it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Distribution
from ..errors import DomainError
from .pathfinder import Gaussians, pathfinder, weighed
from .target import Target

FEW = 100
"""Effective number of draws below which they are not used."""
LACKING = 7.0
"""Log-ratio in nats: a model lacks a point where the density is larger by more; in tails that are too light it is less."""
PIECES = 0.02
"""Largest share of the mass that a model may lack, or lose, without a correction."""
FARTHEST = 1e15
"""Distance beyond which an optimiser is considered to have diverged along an improper density."""
TRIES = 64
"""Number of points that are tried if the density is not finite at the origin."""


@dataclass(frozen=True)
class Frame:
    """Location and units: x = mean + factor u.

    Args:
        mean: Centre (D,).
        factor: Lower triangular matrix (D, D).
    """

    mean: Tensor
    factor: Tensor

    @staticmethod
    def of(x: Tensor) -> Frame:
        """Return the frame in which draws (N, D) have mean zero and covariance one."""
        mean = x.mean(0)
        away = (x - mean).double()
        scale = away.std(0).clamp_min(1e-300)
        correlation = (away / scale).mT @ (away / scale) / len(x) + 1e-6 * torch.eye(x.shape[1]).double()
        return Frame(mean, (scale[:, None] * torch.linalg.cholesky(correlation)).to(x.dtype))


@dataclass(frozen=True)
class Start:
    """Result of the optimisers.

    Args:
        found: Mixture with a Gaussian for each path that succeeded.
        draws: Draws (N, D) of the density by importance resampling of the Gaussians.
        usable: Effective number of these draws.
        log_z: Estimate of log Z from the Gaussians' draws, in nats.
    """

    found: Gaussians
    draws: Tensor
    usable: float
    log_z: float

    @torch.no_grad()
    def lacking(self, target: Target, model: Distribution) -> float:
        """Return the share of the mass found by the optimisers that a model lacks, such as a mode or the end of a curved one.

        Args:
            target: Log-density log p.
            model: Model to compare.
        """
        if self.usable < FEW:
            return 0.0
        gap = target.unchecked(self.draws) - model._log_prob(self.draws, None) - self.log_z
        return float((gap > LACKING).double().mean())


def search(target: Target, width: float, dtype: torch.dtype, *, draws: int = 2000) -> Start | None:
    """Return the mass that the optimisers find; None if they find none.

    Args:
        target: Log-density log p.
        width: Width of the region in which the paths start, in units of the density; 1 is already wide.
        dtype: Dtype of the numbers.
        draws: Number of draws.

    Raises:
        DomainError: The density has no finite value near the origin, has no gradient, or raises an error at every point.
    """
    at = origin(target, dtype)
    found = pathfinder(target.unchecked, at, width=width)
    if found is None or not bool((found.mean.abs() < FARTHEST).all() & found.factor.isfinite().all()):
        return None
    x, weights = weighed(target.unchecked, found, draws)
    return Start(found, x, weights.ess * draws, weights.log_z.value)


def origin(target: Target, dtype: torch.dtype) -> Tensor:
    """Return the origin, or another point (D,) near it where log p is finite and has a gradient.

    Raises:
        DomainError: There is no such point.
    """
    points = torch.cat([torch.zeros(1, target.features), torch.randn(TRIES - 1, target.features)]).to(dtype)
    # `unchecked` gives the values. If none is finite, the call of `target` below raises the error that explains why.
    with torch.no_grad():
        logs = target.unchecked(points)
    usable = logs.isfinite()
    if not bool(usable.any()):
        target(points)
        raise DomainError("expected log_density to be finite at some of 64 points near the origin, found none")
    at = points[int(usable.to(torch.uint8).argmax())]
    started = at[None].clone().requires_grad_()
    (slope,) = torch.autograd.grad(target(started).sum(), started)
    if not bool(slope.isfinite().all()):
        raise DomainError(
            f"expected a finite gradient of log_density, got {slope[0].tolist()} (unconstrained) at {target.place(at)}, where "
            "its value is finite; a torch.where whose other branch is infinite there may be the cause"
        )
    return at
