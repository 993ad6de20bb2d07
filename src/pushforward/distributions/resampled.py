"""Resampled normal distribution: draws of a normal distribution that a learned network accepts or rejects.

With a(z) the probability that a draw z of N(0, 1) is accepted, Z = E[a], and at most T draws, the last of which is always
accepted,

    p(z) = N(z; 0, 1) [(1 - r) a(z) / Z + r],    r = (1 - Z)^(T - 1)

(Stimper, Schoelkopf, Hernandez-Lobato 2022, arXiv:2110.15828, eq. 3-5; Bauer and Mnih 2019, arXiv:1810.11428). It can have
separate modes and gaps, so a flow in front of it need not tear its base apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core import Distribution, Exactness, Real
from ..errors import SpecError
from ..networks import MLP

LEAST = 1e-4
"""Smallest probability of acceptance."""


class ResampledNormal(Distribution):
    """Standard normal distribution whose draws a network accepts or rejects.

    The normaliser Z is the mean of a over fixed points: normal quantiles of a scrambled Sobol sequence. `normaliser` reports it
    with its error. Draws carry no gradients of the network; train with likelihoods or `ForwardKL`.

    Args:
        space: Space of vectors.
        hidden: Widths of the hidden layers of the network.
        truncation: Largest number T of draws for one sample.
        points: Number of points at which a is averaged, a power of 2.

    Raises:
        SpecError: Events are not vectors, or a number is out of range.
    """

    own = Exactness.LOWER | Exactness.UPPER
    points: Tensor

    def __init__(
        self, space: Real, hidden: tuple[int, ...] = (64, 64), *, truncation: int = 100, points: int = 4096
    ) -> None:
        super().__init__()
        if len(space.shape) != 1 or truncation < 2 or points < 16 or points & (points - 1):
            raise SpecError(
                "expected a space of vectors, truncation >= 2 and a power of 2 from 16 as points, got "
                f"{space}, {truncation} and {points}"
            )
        self.space, self.truncation = space, truncation
        self.net = MLP(space.size, 1, hidden=hidden, activation="tanh")
        sobol = torch.quasirandom.SobolEngine(space.size, scramble=True, seed=0).draw(points, dtype=torch.float64)
        quantiles = math.sqrt(2) * torch.erfinv((2 * sobol - 1).clamp(-1 + 1e-12, 1 - 1e-12))
        self.register_buffer("points", quantiles.to(torch.get_default_dtype()), persistent=False)

    def acceptance(self, z: Tensor) -> Tensor:
        """Return the probability that each draw is accepted: (B, D) -> (B,)."""
        return LEAST + (1 - LEAST) * torch.sigmoid(self.net(z)[:, 0])

    def normaliser(self) -> tuple[float, float]:
        """Return Z and its standard error, from the means over 16 parts of the points."""
        with torch.no_grad():
            # Every 16th point of a Sobol sequence is again spread evenly.
            parts = self.acceptance(self.points).double().reshape(-1, 16).mean(0)
        return float(parts.mean()), float(parts.std()) / 4

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        log_normal = -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)
        z = self.acceptance(self.points).mean()
        left = (1 - z) ** (self.truncation - 1)
        return log_normal + ((1 - left) * self.acceptance(x) / z + left).log()

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x = torch.randn(n, self.space.size, dtype=self.dtype, device=self.device)
        with torch.no_grad():
            waiting = torch.arange(n, device=x.device)
            for _ in range(self.truncation - 1):
                accepted = torch.rand(len(waiting), device=x.device) < self.acceptance(x[waiting])
                waiting = waiting[~accepted]
                if not len(waiting):
                    break
                x[waiting] = torch.randn(len(waiting), self.space.size, dtype=x.dtype, device=x.device)
        return x, self._log_prob(x, None)
