"""Layers of Gaussianization: a normal score of each coordinate, and rotations that start at the principal axes of the data.

    z_i = (1 - s) x_i + s Phi^-1(F_i(x_i))

with a step 0 < s <= 1 and a mixture of logistic distribution functions F_i (Chen and Gopinath 2000; Laparra, Camps-Valls and
Malo 2011, arXiv:1602.00229; Meng, Song, Song and Ermon 2020, arXiv:2003.01941, section 3). Both layers map R^D onto R^D,
whatever their parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Real
from ..functional.logistic import logistic_mixture
from ..functional.normal_score import logit_to_normal, normal_to_logit
from ..functional.roots import monotone_inverse
from .elementwise import Elementwise
from .linear import Orthogonal, random_rotation
from .scalar import LineMap, LogisticMixture

STEPS = 100
"""Number of steps of the fit of the marginals."""
POINTS = 500
"""Largest number of points of a column that this fit sees; each is the mean of neighbouring order statistics."""
UNIT = math.pi / math.sqrt(3)
"""Standard deviation of the standard logistic distribution."""
RATE = 0.05
"""Learning rate at the first of these steps; it falls to zero."""


@dataclass(frozen=True)
class NormalScore(LogisticMixture):
    """Normal score of a mixture of logistics, or a step on the way to it: z = (1 - s) x + s Phi^-1(F(x)).

    With s = 1, z is standard normal if x has the distribution F.

    Args:
        components: Number of components K.
        bound: Upper bound of |log scale|, which keeps the density from spikes at single values.
        spread: Half-width of the interval on which the initial means are evenly spaced.
        step: Part s of the way from x to its normal score, 0 < s <= 1.
    """

    bound: float = 4.0
    step: float = 1.0

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and its log-slope."""
        z, log_slope = self._score(x, p)
        if self.step == 1:
            return z, log_slope
        rest = 1 - self.step
        return x * rest + z * self.step, (rest + self.step * log_slope.exp()).log()

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the quantile F^-1(Phi(z)), or the root of a step, and its log-slope."""
        logit, outer = normal_to_logit(z)
        x, inner = super().inverse(logit, p)
        if self.step == 1:
            return x, outer + inner
        # The score g is increasing. If g(z) > z, the step at z lies above z, and the step at g^-1(z) < z below it.
        ends = z.detach(), x.detach()
        margin = 1e-3 * (1 + z.detach().abs())
        return monotone_inverse(
            lambda x: self.forward(x, p),
            z,
            torch.minimum(*ends) - margin,
            torch.maximum(*ends) + margin,
            "normal score",
        )

    def _score(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        logit, inner = super().forward(x, p)
        z, outer = logit_to_normal(logit)
        return z, inner + outer

    def start(self, x: Tensor) -> Tensor:
        """Return the parameters of maximum likelihood for each column, as far as a short ascent from the quantiles finds it.

        The components start at the quantiles (k + 1/2) / K, each as wide as its share of the rows.

        Args:
            x: Numbers of order one, (N, D).

        Returns:
            Parameters (D, 3 K), in float64.
        """
        x = _condensed(x.detach().double())
        k = self.components
        edges = torch.quantile(
            x, torch.linspace(0.5 / k, 1 - 0.5 / k, 2 * k - 1, dtype=x.dtype, device=x.device), dim=0
        )
        means = edges[::2].mT
        width = x.std(0, unbiased=False)
        if k > 1:
            # A logistic distribution with scale s has deviation pi s / sqrt 3; half the distance of neighbours, smoothed.
            gaps = means.diff(dim=1)
            width = (torch.cat([gaps[:, :1], gaps], 1) + torch.cat([gaps, gaps[:, -1:]], 1)) / 2
        scales = (width.reshape(x.shape[1], -1) * math.sqrt(3) / math.pi).clamp_min(1e-6)
        log_scales = (scales.log() + 0.5 * math.log(2.0)).clamp(-0.9 * self.bound, 0.9 * self.bound)
        # The inverse of the soft bound.
        free = log_scales / (1 - (log_scales / self.bound).square()).sqrt()
        evenly = torch.linspace(-self.spread, self.spread, k, dtype=x.dtype, device=x.device)
        p = torch.cat([torch.zeros_like(means), means - evenly, free.expand_as(means)], 1)
        return self._ascended(x, p)

    def _ascended(self, x: Tensor, p: Tensor) -> Tensor:
        """Return the parameters after `STEPS` steps of Adam on the mean log-density of each column."""
        with torch.enable_grad():
            free = p.clone().requires_grad_()
            optimizer = torch.optim.Adam([free], lr=RATE)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
            for _ in range(STEPS):
                optimizer.zero_grad()
                z, log_slope = logistic_mixture(x, free.expand(len(x), *free.shape), self.bound, self.spread)
                # Log f = log dz/dx + log sigmoid'(z); the sum over columns fits each on its own.
                loss = (
                    -(log_slope + torch.nn.functional.logsigmoid(z) + torch.nn.functional.logsigmoid(-z)).mean(0).sum()
                )
                loss.backward()
                optimizer.step()
                schedule.step()
        return free.detach()


@dataclass(frozen=True)
class LogisticScore(LineMap):
    """Normal score of a logistic distribution with variance one: z = Phi^-1(sigmoid(x pi / sqrt 3)); it has no parameters."""

    n: int = 0

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the normal score and its log-slope."""
        z, slope = logit_to_normal(x * UNIT)
        return z, slope + math.log(UNIT)

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(3) / pi logit(Phi(z)) and its log-slope."""
        logit, slope = normal_to_logit(z)
        return logit / UNIT, slope - math.log(UNIT)


def _condensed(x: Tensor) -> Tensor:
    """Return each column sorted, with means of neighbours where there are more than `POINTS` rows: (N, D) -> (<= POINTS, D)."""
    rows = x.sort(0).values
    if len(rows) <= POINTS:
        return rows
    place = torch.arange(len(rows), device=x.device) * POINTS // len(rows)
    sums = torch.zeros(POINTS, x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, place, rows)
    return sums / place.bincount(minlength=POINTS)[:, None]


def negentropy(x: Tensor) -> Tensor:
    """Return the distance of each column from the normal distribution with its mean and deviation, in nats: (N, D) -> (D,).

    The entropy is estimated from the spacings of order statistics that are sqrt(N) apart (Vasicek 1976), which also gives
    normal data a distance above zero, the same for every column.
    """
    n = len(x)
    m = max(1, round(math.sqrt(n) / 2))
    rows = x.double().sort(0).values
    gaps = (rows[2 * m :] - rows[: -2 * m]).clamp_min(1e-12)
    entropy = (gaps * n / (2 * m)).log().mean(0)
    return 0.5 * math.log(2 * math.pi * math.e) + x.double().std(0, unbiased=False).log() - entropy


class Gaussianize(Elementwise):
    """Normal score of each coordinate by its own mixture of logistics; it starts at the marginals of the data.

    Args:
        space: Space of x and z, of shape (D,).
        components: Number of logistic distributions in each mixture.
        step: Part of the way from x to its normal score, above 0 and at most 1.
        context: Length of the context, 0 for none; a network then changes the parameters.
        hidden: Widths of the hidden layers of that network.
        activation: Activation function of that network.
        trained: Whether training changes the parameters after the start.
    """

    standardises = False
    start_rows = 10_000
    started: Tensor

    def __init__(
        self,
        space: Real,
        components: int = 8,
        *,
        step: float = 1.0,
        context: int = 0,
        hidden: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        trained: bool = True,
    ) -> None:
        super().__init__(
            NormalScore(components, step=step), space, context=context, hidden=hidden, activation=activation
        )
        self.free.requires_grad_(trained)
        self.register_buffer("started", torch.zeros(1, dtype=torch.bool))

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start at the maximum of the likelihood of each marginal, unless already started."""
        if bool(self.started):
            return
        scalar: NormalScore = self.scalar  # type: ignore[assignment]
        self.free.data.copy_(scalar.start(x[: self.start_rows]))
        self.started.fill_(value=True)


class DataRotation(Orthogonal):
    """Rotation that starts at axes of the data, and turns by a learned Cayley map.

    Args:
        space: Space of x and z, of shape (D,).
        choices: Number of random rotations that are tried. It starts at the one whose coordinates are farthest from normal, by
            the sum of `negentropy`; 0 for the principal axes.
        trained: Whether training turns it after the start.
    """

    standardises = False
    start_rows = 10_000
    started: Tensor

    def __init__(self, space: Real, *, choices: int = 0, trained: bool = True) -> None:
        super().__init__(space, rotation=True)
        self.choices = choices
        self.free.requires_grad_(trained)
        self.register_buffer("started", torch.zeros(1, dtype=torch.bool))

    @torch.no_grad()
    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start at the axes of the batch, unless already started."""
        if bool(self.started):
            return
        rows = x[: self.start_rows].double()
        if self.choices:
            rotations = [random_rotation(rows.shape[1]).to(rows) for _ in range(self.choices)]
            axes = max(rotations, key=lambda r: float(negentropy(rows @ r.mT).sum()))
        else:
            centred = rows - rows.mean(0)
            axes = torch.linalg.eigh(centred.mT @ centred / len(rows)).eigenvectors.mT
        self.start.copy_(axes)  # type: ignore[union-attr]
        self.free.zero_()
        self.started.fill_(value=True)
