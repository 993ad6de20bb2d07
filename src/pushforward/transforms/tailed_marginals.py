"""Marginals with prescribed tails: the logit of a cumulative distribution function F with generalised Pareto tails.

z = logit F(x) is a monotone spline between two quantiles, the joins. Beyond them the tails of F are generalised Pareto
(Wiese, Knobloch and Korn 2019, arXiv:1907.03361). If z has the standard logistic distribution, x has the distribution F.

At the upper join q let D = dz/dx from the spline and F = F(q). The density there is f = D F (1 - F), and the Pareto density is
(1 - F) / b. The scale b = 1 / (D F) makes both equal, so the density is continuous.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Space
from ..errors import DataError, SpecError
from ..functional.bounds import soft_clip
from ..functional.pareto_tails import (
    FEWEST,
    free_index,
    index_of,
    inverse_positive,
    logit_of_survival,
    pareto_excess,
    pareto_tail,
    tail_fit,
)
from ..functional.splines import rational_quadratic_box
from ..functional.splines.terms import MIN_SIZE, MIN_SLOPE, SHIFT
from .elementwise import Elementwise
from .scalar import LineMap

JOIN = math.log(0.95 / 0.05)
"""Logit of the probability at the upper join, for parameters at zero."""
FREE = 6
"""Number of parameters before those of the spline."""


@dataclass(frozen=True)
class TailMap(LineMap):
    """Map z = logit F(x), where F has a spline in the body and generalised Pareto tails.

    The parameters are the middle of the body, the logarithm of its width, the tail indices below and above, the logarithms of
    the logits at both joins, and the spline. With all of them at zero the body is the identity.

    Args:
        bins: Number of bins K of the spline, 2 to 500.

    Raises:
        SpecError: The number of bins is out of range.
    """

    bins: int = 16

    def __post_init__(self) -> None:
        """Check the number of bins."""
        if not 2 <= self.bins <= 500:
            raise SpecError(f"expected 2 to 500 bins, got {self.bins}")

    @property
    def n(self) -> int:
        """Number of free parameters: 6 and the 3 K + 1 of the spline."""
        return FREE + 3 * self.bins + 1

    def _ends(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the lower join, the width of the body, and the absolute logits at both joins."""
        width = 2 * JOIN * p[..., 1].exp()
        below, above = (JOIN * soft_clip(p[..., i], 3.0).exp() for i in (4, 5))
        return p[..., 0] - width / 2, width, below, above

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return logit F(x) and its log-slope."""
        low, width, below, above = self._ends(p)
        t = (x - low) / width
        body, slope = rational_quadratic_box(t.clamp(0, 1), p[..., FREE:], 0.0, 1.0)
        rate = slope + (below + above).log() - width.log()
        z, log_slope = (below + above) * body - below, rate
        for side, join, edge, index in ((1.0, above, low + width, p[..., 3]), (-1.0, below, low, p[..., 2])):
            excess = (side * (x - edge)).clamp_min(0)
            log_scale = -(rate + F.logsigmoid(join))
            fall, grown = pareto_tail(excess, index_of(index), log_scale)
            tail, log_cdf = logit_of_survival(F.logsigmoid(-join) + fall)
            outside = t > 1 if side > 0 else t < 0
            z = torch.where(outside, side * tail, z)
            log_slope = torch.where(outside, -log_scale - grown - log_cdf, log_slope)
        return z, log_slope

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return the quantile F^-1(sigmoid(z)) and its log-slope, in closed form."""
        low, width, below, above = self._ends(p)
        s = (z + below) / (below + above)
        body, slope = rational_quadratic_box(s.clamp(0, 1), p[..., FREE:], 0.0, 1.0, inverse=True)
        rate = (below + above).log() - width.log() - slope
        x, log_slope = low + width * body, -rate
        for side, join, edge, index in ((1.0, above, low + width, p[..., 3]), (-1.0, below, low, p[..., 2])):
            outside = s > 1 if side > 0 else s < 0
            far = torch.where(outside, side * z, join)
            log_scale, xi = -(rate + F.logsigmoid(join)), index_of(index)
            # Probability beyond z, given that it is beyond the join.
            fall = F.logsigmoid(-far) - F.logsigmoid(-join)
            x = torch.where(outside, edge + side * pareto_excess(fall, xi, log_scale), x)
            log_slope = torch.where(outside, log_scale - xi * fall + F.logsigmoid(far), log_slope)
        return x, log_slope

    def start(self, column: Tensor, name: str, share: float = 0.0) -> Tensor:
        """Return the parameters for a sample: generalised Pareto fits of both tails, and quantiles in the body.

        Args:
            column: Numbers, (N,).
            name: Name of the column in messages.
            share: Share of rows in each tail; 0 for the largest share that a generalised Pareto law fits.

        Raises:
            DataError: The column has too few different values.
        """
        x = column.double()
        distinct = len(x.unique())
        if distinct < min(FEWEST, len(x)):
            raise DataError(
                f"expected at least {FEWEST} different values in {name}, because its tails are fitted, got {distinct}; "
                "declare the column as categorical, or leave it out"
            )
        upper, lower = tail_fit(x, share), tail_fit(-x, share)
        joins = [math.log(1 / fit.share - 1) for fit in (lower, upper)]
        levels = torch.linspace(-joins[0], joins[1], self.bins + 1, dtype=torch.float64)
        knots = torch.quantile(x, levels.sigmoid())
        width = max(float(knots[-1] - knots[0]), 1e-12)
        steps = (knots.diff() / width).clamp_min(2 * MIN_SIZE)
        steps = steps / steps.sum()
        rise = 1 / (self.bins * steps)
        slopes = torch.empty(self.bins + 1, dtype=torch.float64)
        slopes[1:-1] = 2 / (1 / rise[1:] + 1 / rise[:-1])
        for at, fit, join in ((0, lower, joins[0]), (-1, upper, joins[1])):
            # D = 1 / (b F), in units of the box.
            slope = (1 + math.exp(-join)) / fit.scale * width / sum(joins)
            slopes[at] = min(max(slope, 0.05 * float(rise[at])), 20 * float(rise[at]))
        p = torch.zeros(self.n, dtype=torch.float64)
        p[0], p[1] = (knots[0] + knots[-1]) / 2, math.log(width / (2 * JOIN))
        p[2], p[3] = free_index(lower.index), free_index(upper.index)
        for i, join in zip((4, 5), joins, strict=True):
            wanted = math.log(join / JOIN)
            p[i] = wanted / math.sqrt(1 - (wanted / 3.0) ** 2)
        spline = p[FREE:]
        spline[: self.bins] = ((steps - MIN_SIZE).clamp_min(1e-6) / (1 - MIN_SIZE * self.bins)).log()
        spline[2 * self.bins :] = inverse_positive((slopes - MIN_SLOPE).clamp_min(1e-4)) - SHIFT
        return p


class Marginals(Elementwise):
    """Logit of a cumulative distribution function of each coordinate, with learned tails; it starts at the data.

    Args:
        space: Space of x and z, of shape (D,).
        bins: Number of bins of each spline.
        share: Share of the rows in each tail at the start; 0 for the largest share that a generalised Pareto law fits.
        context: Length of the context, 0 for none; a network then changes the parameters.
        hidden: Widths of the hidden layers of that network.
        trained: Whether training changes the parameters after the start.
    """

    standardises = False
    start_rows = 50_000
    names: Sequence[str] = ()
    """Names of the columns in messages; by default "column 1" and so on."""
    started: Tensor

    def __init__(
        self,
        space: Space,
        bins: int = 16,
        *,
        share: float = 0.0,
        context: int = 0,
        hidden: tuple[int, ...] = (64, 64),
        trained: bool = True,
    ) -> None:
        super().__init__(TailMap(bins), space, context=context, hidden=hidden)
        self.free.requires_grad_(trained)
        self.share = share
        self.register_buffer("started", torch.zeros(1, dtype=torch.bool))

    @torch.no_grad()
    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start at the quantiles of the data and at generalised Pareto fits of both tails, unless already started.

        Raises:
            DataError: A column has too few different values.
        """
        if bool(self.started):
            return
        scalar: TailMap = self.scalar  # type: ignore[assignment]
        columns = x.flatten(1).unbind(1)
        names = self.names or [f"column {i + 1}" for i in range(len(columns))]
        for i, (column, name) in enumerate(zip(columns, names, strict=True)):
            self.free.data.view(-1, scalar.n)[i] = scalar.start(column, name, self.share).to(self.dtype)
        self.started.fill_(value=True)
