"""Where training starts: the place and the units of the mass, and whether it is in one piece."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Distribution
from ..errors import DomainError
from .pathfinder import Gaussians, pathfinder, weighed
from .target import Target

FEW = 100
"""Effective number of draws below which they tell nothing."""
LACKING = 7.0
"""Nats. A model lacks a point where the density is denser by as much; in a tail that is too light it is less."""
PIECES = 0.02
"""Share of the mass that a model may lack, or lose, before something is done."""
FARTHEST = 1e15
"""Optimisers that end farther out have run away along an improper density."""
TRIES = 64
"""Points that are tried where the density is not finite at the origin."""


@dataclass(frozen=True)
class Frame:
    """Place and units: x = mean + factor u.

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
    """What the optimisers have found.

    Args:
        found: A Gaussian for each path that ended well.
        draws: Draws (N, D) of the density by importance resampling of the Gaussians.
        usable: Effective number of these draws.
        log_z: log Z as the Gaussians' draws estimate it, in nats.
    """

    found: Gaussians
    draws: Tensor
    usable: float
    log_z: float

    @torch.no_grad()
    def lacking(self, target: Target, model: Distribution) -> float:
        """Return the share of the mass found by the optimisers that a model lacks: a mode, or the end of a banana.

        Args:
            target: log p.
            model: The model.
        """
        if self.usable < FEW:
            return 0.0
        gap = target.unchecked(self.draws) - model._log_prob(self.draws, None) - self.log_z
        return float((gap > LACKING).double().mean())


def search(target: Target, width: float, dtype: torch.dtype, *, draws: int = 2000) -> Start | None:
    """Find the mass; None where no optimiser found any.

    Args:
        target: log p.
        width: Width of the region in which the paths start, in units of the density; 1 is a wide one.
        dtype: Type of the numbers.
        draws: Number of draws to make.

    Raises:
        DomainError: The density has no finite value near the origin, or gives no gradient, or raises at every point.
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
        DomainError: There is none.
    """
    points = torch.cat([torch.zeros(1, target.features), torch.randn(TRIES - 1, target.features)]).to(dtype)
    # The sentence about what is wrong there comes from the density itself, so not all points are asked at once.
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
            "its value is finite; a torch.where whose other branch is infinite there does this"
        )
    return at
