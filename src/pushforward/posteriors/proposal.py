"""Importance sampling from a mixture of a flow and much wider distributions.

Weights log p - log q of a flow's own draws cannot show mass that the flow lacks. Therefore a tenth of the draws comes from the
flow with a heavy-tailed base, a tenth from the Gaussians of `pathfinder`, and a tenth from kernels around the ends of short
Markov chains, all with heavy tails. Each draw is weighted with the density of the whole mixture,

    log w_i = log p(x_i) - log sum_j a_j q_j(x_i),    a_j = share of the draws from q_j,

(the balance heuristic: Veach, Guibas 1995; Owen, Zhou 2000). The mean of w is an unbiased estimate of Z. No weight is
larger than 1 / a_j times the weight under q_j alone. A tail or a mode that the flow lacks appears as large weights far
from the flow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..core import Exactness, Flow
from .coverage import LOST
from .importance_weights import Importance, Number, importance
from .pathfinder import Gaussians
from .target import Target

WIDE = 0.1
"""Share of the draws from each part except the flow: its heavy-tailed twin, the Gaussians, and the kernels."""
NEIGHBOURS = 8
"""Number of neighbours within about one kernel width."""
CAUTION = 0.2
"""Fraction of the error without control variates that is added to the error with them."""
ROUNDING = 16
"""Rounding error of a log-density, in units of the last digit."""
CHUNK = 4096
"""Number of points whose density is computed together."""
FREEDOM = 2.0
"""Degrees of freedom of the heavy tails: tails lighter than x^-3 are covered in every direction."""
INFLATION = 1.5
"""Factor by which the heavy-tailed distributions are wider in their centre."""


@dataclass(frozen=True)
class Drawn:
    """Draws of a mixture.

    Args:
        x: Draws (N, D), those of the flow first.
        log_q: Log-density (N,) of the mixture, in nats.
        log_parts: Log-densities (N, J) of its parts, the flow first.
        own: Number of draws from the flow.
    """

    x: Tensor
    log_q: Tensor
    log_parts: Tensor
    own: int


class Kernels:
    """Mixture of spherical Student t distributions around points, in units of the points' deviations.

    The width of a kernel is the distance to its eighth neighbour over the root of the dimension, so kernels are narrow
    where points are dense.

    Args:
        points: Centres (K, D), K > `NEIGHBOURS`.
    """

    def __init__(self, points: Tensor) -> None:
        self.scale = points.std(0).clamp_min(1e-30)
        self.points = (points / self.scale).double()
        near = torch.cdist(self.points, self.points).kthvalue(NEIGHBOURS + 1, dim=1).values
        self.width = (near / math.sqrt(points.shape[1])).clamp_min(1e-6)

    def sample(self, n: int) -> Tensor:
        """Return draws (n, D)."""
        which = torch.arange(n) % len(self.points)
        noise = self.width[which, None] * _stretch(n) * torch.randn(n, self.points.shape[1], dtype=torch.float64)
        return ((self.points[which] + noise) * self.scale).to(self.scale)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density at points (B, D), (B,) in nats."""
        size = x.shape[1]
        # The distance by matrix products would lose the digits of close points.
        away = torch.cdist((x / self.scale).double(), self.points, compute_mode="donot_use_mm_for_euclid_dist")
        each = _log_t((away / self.width).square(), size) - size * self.width.log()
        return each.logsumexp(1) - math.log(len(self.points)) - self.scale.double().log().sum()


class Heavy:
    """Gaussians with heavy tails.

    Args:
        found: Gaussians, the mixture of `pathfinder`.
    """

    def __init__(self, found: Gaussians) -> None:
        self.found = found

    def sample(self, n: int) -> Tensor:
        """Return draws (n, D)."""
        which = torch.arange(n) % len(self.found.mean)
        noise = _heavy(n, self.found.mean.shape[1], self.found.mean.dtype)
        return self.found.mean[which] + torch.einsum("nij,nj->ni", self.found.factor[which], noise)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density at points (B, D), (B,) in nats."""
        factor = self.found.factor.double()
        away = (x[:, None] - self.found.mean).double().unsqueeze(-1)
        noise = torch.linalg.solve_triangular(factor, away, upper=False).squeeze(-1)
        each = _log_heavy(noise) - factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return each.logsumexp(1) - math.log(each.shape[1])


class Wide(Protocol):
    """Protocol of the wide parts of a proposal."""

    def sample(self, n: int) -> Tensor:
        """Return draws (n, D)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density at points (B, D), (B,) in nats."""


class Proposal:
    """Mixture of a flow, the flow with a heavy-tailed base, and other heavy-tailed distributions.

    Args:
        flow: Flow on vectors. A flow with stochastic layers, whose density at a given point is not known, is used alone.
        others: Other distributions of the mixture.
    """

    def __init__(self, flow: Flow, others: Sequence[Wide] = ()) -> None:
        self.flow = flow
        # On a bounded space, such as a sphere, there are no tails, and the other distributions are wide enough.
        self.heavy = not flow.base.space.discrete and flow.base.space.interval == (-math.inf, math.inf)
        covered = self.heavy or (flow.space.bounded and len(others) > 0)
        self.alone = flow.exactness != Exactness.EXACT or not covered
        self.others = () if self.alone else tuple(others)

    @property
    def parts(self) -> int:
        """Number of parts besides the flow."""
        return 0 if self.alone else self.heavy + len(self.others)

    @torch.no_grad()
    def sample(self, n: int) -> Drawn:
        """Return n draws, from every part in its share."""
        wide = 0 if self.alone else round(WIDE * n)
        own = n - wide * self.parts
        x, log_flow = self.flow._sample(own, None)
        if not wide:
            return Drawn(x, log_flow, log_flow[:, None], own)
        tails = [self.flow.chain.inverse(_heavy(wide, x.shape[1], x.dtype))[0]] if self.heavy else []
        x = torch.cat([x, *tails, *(other.sample(wide).to(x) for other in self.others)])
        return Drawn(x, *self.log_prob(x), own)

    def sample_and_log_prob(self, n: int) -> tuple[Tensor, Tensor]:
        """Return draws (n, D) and the log-densities (n,) of the mixture in nats."""
        drawn = self.sample(n)
        return drawn.x, drawn.log_q

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-densities of the mixture (B,) and of its parts (B, J) at points (B, D), in nats and float64."""
        chunks = [self._log_prob(part) for part in x.split(CHUNK)]
        return torch.cat([mixture for mixture, _ in chunks]), torch.cat([parts for _, parts in chunks])

    def _log_prob(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, volume = self.flow.chain(x)
        volume = volume.double()
        log_flow = self.flow.base._log_prob(z, None) + volume
        tails = [_log_heavy(z) + volume] if self.heavy else []
        each = torch.stack([log_flow, *tails, *(other.log_prob(x) for other in self.others)], 1)
        # Far away a spline may overflow: a value that is not finite counts as density zero in this part.
        each = torch.nan_to_num(each, nan=-math.inf, posinf=-math.inf)
        rest = each.shape[1] - 1
        shares = torch.tensor([1 - WIDE * rest] + [WIDE] * rest, dtype=torch.float64)
        return (each + shares.log()).logsumexp(1), each


@dataclass(frozen=True)
class Weighed:
    """Weighted draws.

    Args:
        proposal: Mixture from which they come.
        z: All draws (N, D), those of the flow first.
        count_own: Number of draws from the flow.
        own: Diagnostics of the flow's own draws, weighted by the flow.
        all: Diagnostics of all draws, weighted by the mixture.
        lacking: Share of the mass where p is over 20 times as dense as the flow.
        raised: Share of the flow's draws at which the log-density raised an error.
    """

    proposal: Proposal
    z: Tensor
    count_own: int
    own: Importance
    all: Importance
    lacking: float
    raised: float


@torch.no_grad()
def weigh(proposal: Proposal, target: Target, count: int) -> Weighed:
    """Return weighted draws of a mixture.

    Args:
        proposal: Mixture to draw from.
        target: Log-density log p; wide draws where it is not finite have weight zero.
        count: Number of draws.
    """
    drawn = proposal.sample(count)
    log_own = target(drawn.x[: drawn.own])
    log_p = torch.cat([log_own, target.tolerant(drawn.x[drawn.own :])]) if drawn.own < count else log_own
    log_flow = drawn.log_parts[:, 0].double()
    own = importance(log_own - log_flow[: drawn.own])
    every = importance(log_p - drawn.log_q)
    constant = _constant(log_p.double() - drawn.log_q.double(), drawn)
    # If the flow is exact, the remaining error is the rounding of the log-densities.
    rounding = ROUNDING * torch.finfo(log_own.dtype).eps * (1 + float(log_own[log_own.isfinite()].abs().median()))
    constant = Number(constant.value, math.hypot(constant.error, rounding))
    every = dataclasses.replace(every, log_z=constant)
    gap = log_p.double() - log_flow - every.log_z.value
    return Weighed(
        proposal=proposal,
        z=drawn.x,
        count_own=drawn.own,
        own=own,
        all=every,
        lacking=float(every.log_weights[gap > math.log(LOST)].exp().sum()),
        raised=float((log_own == -math.inf).double().mean()),
    )


def _constant(log_w: Tensor, drawn: Drawn) -> Number:
    """Estimate log Z with the parts of the mixture as control variates.

    Under the mixture q, every ratio q_j / q has mean one. A linear regression of w = p / q on these ratios minus one
    therefore has the mean of w as its intercept, and its residuals have a smaller variance, much smaller if the flow is
    close to p (Owen, Zhou 2000, section 3). The reported error combines that of the residuals with a fifth of the error
    without the regression: the important residuals are few and large, and experiments showed that their deviation alone
    underestimates the error.

    Args:
        log_w: Log-weights (N,) under the mixture.
        drawn: Draws of the mixture.
    """
    top = log_w.max()
    w = (log_w - top).exp()
    ratios = (drawn.log_parts.double() - drawn.log_q.double()[:, None]).exp() - 1
    # The ratios, weighted with their shares, sum to a constant, so the design is singular; the minimum-norm solution
    # of the least-squares problem is unaffected.
    design = torch.cat([torch.ones_like(w)[:, None], ratios], 1)
    fitted = torch.linalg.lstsq(design, w[:, None], driver="gelsd").solution
    left = w - (design @ fitted)[:, 0]
    mean = float(fitted[0])
    if not mean > 0:
        mean, left = float(w.mean()), w - w.mean()
    error = math.hypot(float(left.std()), CAUTION * float(w.std())) / mean / math.sqrt(len(w))
    return Number(math.log(mean) + float(top), error)


def _heavy(n: int, size: int, dtype: torch.dtype) -> Tensor:
    """Return draws (n, size) with heavy tails: half of them along all coordinates together, half along one coordinate.

    The first half is a spherical Student t. In the second half, one coordinate (each in turn) is a Student t and the others are
    standard normal: in many dimensions a spherical t has little mass along an axis, where posteriors have their tails.
    """
    stretch = _stretch(n)
    one = torch.nn.functional.one_hot(torch.arange(n) // 2 % size, size).bool()
    stretch = torch.where((torch.arange(n) % 2 == 0)[:, None] | one, stretch, 1.0)
    return (stretch * torch.randn(n, size, dtype=torch.float64)).to(dtype)


def _stretch(n: int) -> Tensor:
    """Return random factors (n, 1) that turn a normal into a Student t."""
    gamma = torch._standard_gamma(torch.full((n, 1), FREEDOM / 2, dtype=torch.float64)).clamp_min(1e-300)
    return INFLATION * torch.rsqrt(2 * gamma / FREEDOM)


def _log_heavy(z: Tensor) -> Tensor:
    """Return the log-density of `_heavy` over the last dimension."""
    z = z.double()
    size = z.shape[-1]
    normal = -(z.square() + math.log(2 * math.pi)) / 2
    # Sums over the coordinates before and after each one; subtraction from the total would lose all digits far away.
    before = normal.cumsum(-1).roll(1, -1)
    after = normal.flip(-1).cumsum(-1).flip(-1).roll(-1, -1)
    before[..., 0] = after[..., -1] = 0
    along_one = (before + _log_t(z.square(), 1) + after).logsumexp(-1) - math.log(size)
    return torch.logaddexp(_log_t(z.square().sum(-1), size), along_one) - math.log(2)


def _log_t(square: Tensor, size: int) -> Tensor:
    """Return the log-density of a spherical Student t at points with a given squared length."""
    constant = (
        math.lgamma((FREEDOM + size) / 2)
        - math.lgamma(FREEDOM / 2)
        - size / 2 * math.log(FREEDOM * math.pi)
        - size * math.log(INFLATION)
    )
    return constant - (FREEDOM + size) / 2 * torch.log1p(square / (FREEDOM * INFLATION**2))
