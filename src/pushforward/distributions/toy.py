"""Two-dimensional densities with known entropy, for tests and for a first look at a new flow.

The best mean log-likelihood of any model is minus the entropy H. The distance of a fit from it is the Kullback-Leibler
divergence from the true density to the model, in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SpecError


@dataclass(frozen=True)
class GaussianModes:
    """Mixture of equal Gaussians with standard deviation `sigma`.

    Args:
        centres: Pairs of coordinates, the means of the modes.
        sigma: Standard deviation of each mode.
    """

    centres: tuple[tuple[float, float], ...]
    sigma: float

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Return n draws, (n, 2) in float32."""
        generator = torch.Generator().manual_seed(seed)
        k = torch.randint(len(self.centres), (n,), generator=generator)
        return torch.tensor(self.centres)[k] + self.sigma * torch.randn(n, 2, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the exact log-density in nats: (..., 2) -> (...)."""
        square = (x.unsqueeze(-2) - torch.tensor(self.centres, dtype=x.dtype)).square().sum(-1) / self.sigma**2
        constant = math.log(2 * math.pi * self.sigma**2) + math.log(len(self.centres))
        return (-square / 2).logsumexp(-1) - constant

    def far(self, x: Tensor, deviations: float = 5.0) -> Tensor:
        """Return the share of points farther than `deviations` times sigma from every centre."""
        distance = torch.cdist(x, torch.tensor(self.centres, dtype=x.dtype)).amin(-1)
        return (distance > deviations * self.sigma).double().mean()

    @property
    def entropy(self) -> float:
        """Entropy H in nats, by quadrature on a fine grid."""
        centres = torch.tensor(self.centres, dtype=torch.float64)
        low, high = centres.amin() - 8 * self.sigma, centres.amax() + 8 * self.sigma
        n = 1200
        axis = low + (torch.arange(n, dtype=torch.float64) + 0.5) * (high - low) / n
        logp = self.log_prob(torch.cartesian_prod(axis, axis))
        return float(-(logp.exp() * logp).sum() * ((high - low) / n) ** 2)


@dataclass(frozen=True)
class CheckerboardDensity:
    """Uniform density on the eight dark squares of side 2 of a 4 x 4 board on [-4, 4]^2; H = log 32 = 3.4657 nats."""

    entropy: float = math.log(32)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Return n draws, (n, 2) in float32."""
        generator = torch.Generator().manual_seed(seed)
        first = 4 * torch.rand(n, generator=generator) - 2
        second = torch.rand(n, generator=generator) - 2 * torch.randint(2, (n,), generator=generator)
        return 2 * torch.stack([first, second + first.floor() % 2], 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return -log 32 on the dark squares and -inf elsewhere: (..., 2) -> (...)."""
        column, row = (x / 2).floor().unbind(-1)
        dark = ((column + row) % 2 == 0) & (x.abs() < 4).all(-1)
        return torch.where(dark, -self.entropy, -math.inf)


@dataclass(frozen=True)
class TwoUniforms:
    """Uniform density on two rectangles, 1 < |x_1| < 2 and |x_2| < 1; H = log 4 = 1.3863 nats."""

    entropy: float = math.log(4)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Return n draws, (n, 2) in float32."""
        generator = torch.Generator().manual_seed(seed)
        first = (1 + torch.rand(n, generator=generator)) * (2 * torch.randint(2, (n,), generator=generator) - 1)
        return torch.stack([first, 2 * torch.rand(n, generator=generator) - 1], 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return -log 4 on the rectangles and -inf elsewhere: (..., 2) -> (...)."""
        inside = ((x[..., 0].abs() - 1.5).abs() < 0.5) & (x[..., 1].abs() < 1)
        return torch.where(inside, -self.entropy, -math.inf).to(x.dtype)


def four_gaussians(modes: int = 4) -> GaussianModes:
    """Return the first `modes` of four Gaussians with standard deviation 0.3 at (+-3, +-3).

    Raises:
        SpecError: The number of modes is not between 1 and 4.
    """
    if not 1 <= modes <= 4:
        raise SpecError(f"expected 1 to 4 modes, got {modes}")
    return GaussianModes(((3.0, 3.0), (-3.0, -3.0), (-3.0, 3.0), (3.0, -3.0))[:modes], 0.3)


def nine_gaussians() -> GaussianModes:
    """Return nine Gaussians with standard deviation 0.3 on a grid, at (-3, 0, 3) in both coordinates."""
    return GaussianModes(tuple((3.0 * i, 3.0 * j) for i in (-1, 0, 1) for j in (-1, 0, 1)), 0.3)


def eight_gaussians() -> GaussianModes:
    """Return eight Gaussians on a circle of radius 4 / 1.414, with deviation 0.5 / 1.414 (Grathwohl et al. 2019)."""
    angles = [2 * math.pi * k / 8 for k in range(8)]
    return GaussianModes(tuple((4 * math.cos(a) / 1.414, 4 * math.sin(a) / 1.414) for a in angles), 0.5 / 1.414)
