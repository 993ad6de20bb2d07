"""Least squares to the distribution function of the data (Magdon-Ismail and Atiya 2002), without a likelihood."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ..core import Distribution, Flow
from ..distributions.learned_cdf import LearnedCDF, cell_mass
from ..errors import SpecError
from .weighted_mean import weighted_mean

Targets = Literal["smooth", "stochastic"]
"""Kind of targets: i / (N + 1), or sorted uniform numbers."""
POINTS = 64
"""Number of cells and of points on the faces of the box that the penalties use in each step."""
CELLS = 32
"""Number of cells along each axis of the box whose mass must not be negative."""


class CDFTargets(nn.Module):
    """Squared error of a learned distribution function H at the rows, with penalties that make it one.

        1/B sum_b (H(x_b) - t_b)^2 + w (1/P sum_p min(0, m_p)^2 + 1/P sum_p H(l_p)^2 + (1 - H(h))^2)

    If i of the N training rows are at most x in every coordinate, the target t is i / (N + 1) ("smooth interpolation of the
    cumulative", SIC), or the i-th smallest of N uniform numbers, which are drawn anew in each epoch ("stochastic learning of
    the cumulative", SLC). The numbers have to be sorted: against unsorted ones the best H is 1/2 everywhere. Here m are
    densities of random cells of a grid, l points on the lower faces of the box, and h its upper corner.

    Args:
        model: Model whose base is a `LearnedCDF`.
        targets: Kind of targets, "smooth" or "stochastic".
        penalty: Weight w of the penalties.

    Raises:
        SpecError: The model has no learned distribution function.
    """

    levels: Tensor
    minimises = "squared error of the distribution function"

    def __init__(self, model: Distribution, targets: Targets = "smooth", *, penalty: float = 0.0) -> None:
        super().__init__()
        if learned_cdf(model) is None:
            raise SpecError(f"expected a model with a learned distribution function, got {type(model).__name__}")
        self.model, self.targets, self.penalty = model, targets, penalty
        self.register_buffer("levels", torch.zeros(0), persistent=False)
        self.seen = 0

    def target(self, cdf: LearnedCDF, x: Tensor) -> Tensor:
        """Return the targets of rows as the distribution function receives them, (B, D) -> (B,)."""
        n = len(cdf.rows) or len(x)
        counts = cdf.counts(x)
        if self.targets == "smooth" or not self.training:
            return counts.to(x.dtype) / (n + 1)
        if len(self.levels) != n + 1 or self.seen >= n:
            drawn = torch.rand(n, dtype=x.dtype, device=x.device).sort().values
            self.levels, self.seen = torch.cat([drawn.new_zeros(1), drawn]), 0
        self.seen += len(x)
        return self.levels[counts]

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, for a batch (x,) of B rows and weights (B,)."""
        cdf = learned_cdf(self.model)
        assert cdf is not None  # noqa: S101
        x = self._before(self.model, batch[0]).detach()
        loss = weighted_mean((cdf.cdf(x) - self.target(cdf, x)).square(), weights)
        return loss + self.penalty * self._penalties(cdf) if self.training and self.penalty else loss

    def _before(self, model: Distribution, x: Tensor) -> Tensor:
        """Return the rows as the distribution function receives them."""
        while not isinstance(model, LearnedCDF):
            if isinstance(model, Flow):
                x, model = model.chain(x)[0], model.base
            else:
                flow, x, _ = model.behind_columns(x)  # type: ignore[operator]
                model = flow
        return x

    def _penalties(self, cdf: LearnedCDF) -> Tensor:
        size = cdf.high - cdf.low
        place = torch.rand(POINTS, len(size), dtype=size.dtype, device=size.device)
        low = cdf.low + place * size * (1 - 1 / CELLS)
        falling = (cell_mass(cdf, low, low + size / CELLS) * CELLS ** len(size)).clamp_max(0)
        # One coordinate of each point is moved to its lower end.
        which = torch.randint(len(size), (POINTS, 1), device=size.device)
        face = (cdf.low + place * size).scatter(1, which, cdf.low.expand(POINTS, -1).gather(1, which))
        corner = 1 - cdf.cdf(cdf.high[None])[0]
        return falling.square().mean() + cdf.cdf(face).square().mean() + corner.square()


def learned_cdf(model: nn.Module) -> LearnedCDF | None:
    """Return the learned distribution function among the parts of a model, or None."""
    return next((part for part in model.modules() if isinstance(part, LearnedCDF)), None)


class QuantileGenerator(nn.Module):
    """Direct generator of one variable: a network G with G(u) near the quantile F^-1(u), for draws without inversion.

    It learns the pairs of `CDFTargets` with the sides exchanged, 1/N sum_i (G(t_i) - x_(i))^2. The network sees the normal
    scores of t, in which the quantiles of a normal variable are a line.

    Args:
        hidden: Widths of the hidden layers.
    """

    def __init__(self, hidden: tuple[int, ...] = (32, 32)) -> None:
        super().__init__()
        widths = (1, *hidden)
        self.body = nn.Sequential(
            *(part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.Tanh())), nn.Linear(widths[-1], 1)
        )
        self.line = nn.Linear(1, 1)

    def forward(self, u: Tensor) -> Tensor:
        """Return quantiles of numbers between 0 and 1: (B,) -> (B,)."""
        score = torch.special.ndtri(u)[:, None]
        return (self.line(score) + self.body(score))[:, 0]

    def learn(
        self, x: Tensor, *, steps: int = 2000, lr: float = 1e-2, targets: Targets = "stochastic"
    ) -> QuantileGenerator:
        """Fit the generator to a sample and return it.

        Args:
            x: Sample (N,).
            steps: Number of steps of Adam, each on all rows.
            lr: Learning rate at the first step; it falls to zero.
            targets: Kind of targets, "smooth" or "stochastic"; the latter are drawn anew in each step.
        """
        rows = x.flatten().sort().values
        n = len(rows)
        optimizer = torch.optim.Adam(self.parameters(), lr=lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        even = torch.arange(1, n + 1, dtype=rows.dtype, device=rows.device) / (n + 1)
        tiny = torch.finfo(rows.dtype).eps
        for _ in range(steps):
            u = even if targets == "smooth" else torch.rand_like(even).sort().values.clamp(tiny, 1 - tiny)
            loss = (self(u) - rows).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return self

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n draws, (n,)."""
        weight = self.line.weight
        tiny = torch.finfo(weight.dtype).eps
        return self(torch.rand(n, dtype=weight.dtype, device=weight.device).clamp(tiny, 1 - tiny))
