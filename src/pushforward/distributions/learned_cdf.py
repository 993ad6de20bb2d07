"""Densities that are derivatives of a learned distribution function (Magdon-Ismail and Atiya 2002).

A network H learns the joint distribution function F(x) = P(X_1 <= x_1, ..., X_D <= x_D). The density is its mixed derivative
d^D H / dx_1 ... dx_D. `ProductCDF` is monotone by its form, `FreeCDF` only as far as training makes it so.
"""

from __future__ import annotations

import abc
import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Distribution, Exactness, Real
from ..errors import SpecError
from ..functional import mixed_partials

MARGIN = 0.1
"""Margin of the box around the data, in ranges of the data: H is 0 at its lower faces and 1 at its upper corner."""
FLOOR = 1e-6
"""Smallest density of a network whose derivative may be negative, times the volume of the box."""
CELLS = 256
"""Number of cells of the grid on which a coordinate is drawn."""


class LearnedCDF(Distribution):
    """Base class of learned distribution functions: they keep the sample that gives their targets.

    Attributes:
        rows: The training rows (N, D), for targets; empty in a loaded model, and not part of a file.
        low: Lower corner of the box around the data, (D,).
        high: Upper corner, (D,).
    """

    rows: Tensor
    low: Tensor
    high: Tensor
    start_rows = 20_000

    def __init__(self, space: Real) -> None:
        super().__init__()
        if len(space.shape) != 1 or not 1 <= space.size <= mixed_partials.LARGEST:
            raise SpecError(f"expected vectors of 1 to {mixed_partials.LARGEST} numbers, got {space}")
        self.space = space
        self.register_buffer("rows", torch.zeros(0, space.size), persistent=False)
        self.register_buffer("low", torch.full(space.shape, -4.0))
        self.register_buffer("high", torch.full(space.shape, 4.0))

    @abc.abstractmethod
    def cdf(self, x: Tensor) -> Tensor:
        """Return H(x): (B, D) -> (B,)."""

    @torch.no_grad()
    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Keep the rows for their ranks, and set the box."""
        self.rows = x[: self.start_rows].detach().clone()
        ends = x.amin(0), x.amax(0)
        room = MARGIN * (ends[1] - ends[0]).clamp_min(1e-6)
        self.low.copy_(ends[0] - room)
        self.high.copy_(ends[1] + room)

    def counts(self, x: Tensor) -> Tensor:
        """Return for each x the number of kept rows, or else of those in x, that are not larger in any coordinate: (B,)."""
        rows = self.rows if len(self.rows) else x
        if self.space.size == 1:
            return torch.searchsorted(rows[:, 0].sort().values, x[:, 0].contiguous(), right=True)
        return (rows <= x[:, None]).all(-1).sum(1)

    def mass(self) -> float:
        """Return the mass that H gives to the box around the data, by inclusion and exclusion over its corners."""
        with torch.no_grad():
            return float(cell_mass(self, self.low[None], self.high[None])[0])


def cell_mass(model: LearnedCDF, low: Tensor, high: Tensor) -> Tensor:
    """Return the mass of the cells between two corners, sum over corners of +-H: (B, D), (B, D) -> (B,)."""
    total = low.new_zeros(len(low))
    d = low.shape[1]
    for corner in range(2**d):
        upper = torch.tensor([bool(corner >> i & 1) for i in range(d)], device=low.device)
        total = total + (-1) ** (d - int(upper.sum())) * model.cdf(torch.where(upper, high, low))
    return total


class ProductCDF(LearnedCDF):
    """Monotone network H(x) = sum_k w_k prod_i sigmoid((x_i - m_ki) / s_ki), with w_k > 0 that sum to one.

    In one dimension it is a network with one hidden layer and positive weights, and H maps the line onto (0, 1). In several
    dimensions the products make every mixed derivative positive, which positive weights alone do not. The total mass is one.

    Args:
        space: Space of x, of shape (D,), with D from 1 to 3.
        units: Number K of hidden units.
    """

    def __init__(self, space: Real, units: int = 16) -> None:
        super().__init__(space)
        self.logits = nn.Parameter(torch.zeros(units))
        self.means = nn.Parameter(torch.randn(units, space.size))
        self.log_scales = nn.Parameter(torch.full((units, space.size), -1.0))

    def _units(self, x: Tensor) -> Tensor:
        return (x.unsqueeze(1) - self.means) * (-self.log_scales).exp()

    def cdf(self, x: Tensor) -> Tensor:
        """Return H(x): (B, D) -> (B,)."""
        return (self.logits.log_softmax(0) + F.logsigmoid(self._units(x)).sum(-1)).logsumexp(-1).exp()

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        u = self._units(x)
        each = F.logsigmoid(u) + F.logsigmoid(-u) - self.log_scales
        return (self.logits.log_softmax(0) + each.sum(-1)).logsumexp(-1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        k = torch.multinomial(self.logits.softmax(0), n, replacement=True) if n else self.logits.new_empty(0).long()
        # A number strictly between 0 and 1, so that its logit is finite.
        u = torch.rand_like(self.means[k]).clamp(
            torch.finfo(self.means.dtype).eps / 4, 1 - torch.finfo(self.means.dtype).eps
        )
        x = self.means[k] + self.log_scales[k].exp() * (u.log() - torch.log1p(-u))
        return x, self._log_prob(x, context)

    @torch.no_grad()
    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Keep the rows, and start with units at some of them."""
        super().init_from(x)
        k = len(self.means)
        order = x[:, 0].argsort() if self.space.size == 1 else torch.randperm(len(x), device=x.device)
        place = ((torch.arange(k, device=x.device) + 0.5) / k * len(x)).long()
        self.means.copy_(x[order[place]])
        width = x.std(0, unbiased=False).clamp_min(1e-6) * 2 / k ** (1 / self.space.size)
        self.log_scales.copy_((width * math.sqrt(3) / math.pi).log().expand_as(self.log_scales))


class FreeCDF(LearnedCDF):
    """Network H(x) = sigmoid(MLP(x)), without a restriction on its weights.

    Its mixed derivative can be negative, and its total mass need not be one: `log_prob` is the logarithm of the derivative, or
    of a small floor. Samples follow from H inside of the box around the data, one coordinate after the other.

    Args:
        space: Space of x, of shape (D,), with D from 1 to 3.
        hidden: Widths of the hidden layers.
    """

    own = Exactness.LOWER | Exactness.UPPER
    differentiable_draws = False

    def __init__(self, space: Real, hidden: tuple[int, ...] = (32, 32)) -> None:
        super().__init__(space)
        widths = (space.size, *hidden, 1)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def terms(self, x: Tensor) -> list[Tensor]:
        """Return H and all its mixed derivatives: (B, D) -> 2^D tensors (B,), the density last."""
        found = mixed_partials.inputs((x - self.low) / (self.high - self.low) * 4 - 2)
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            found = mixed_partials.linear(found, layer.weight, layer.bias)  # type: ignore[arg-type]
            derivatives = mixed_partials.sigmoid_derivatives if i == last else mixed_partials.tanh_derivatives
            found = mixed_partials.activated(found, derivatives(found[0])[: x.shape[1] + 1])
        rates = 4 / (self.high - self.low)
        terms = []
        for subset, term in enumerate(found):
            chosen = [i for i in range(x.shape[1]) if subset >> i & 1]
            terms.append(term[:, 0] * rates[chosen].prod())
        return terms

    def cdf(self, x: Tensor) -> Tensor:
        """Return H(x): (B, D) -> (B,)."""
        a = (x - self.low) / (self.high - self.low) * 4 - 2
        for layer in self.layers[:-1]:
            a = torch.tanh(layer(a))
        return torch.sigmoid(self.layers[-1](a))[:, 0]

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        floor = FLOOR / (self.high - self.low).prod()
        return torch.maximum(self.terms(x)[-1], floor).log()

    @torch.no_grad()
    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        # The conditional distribution function of x_i is the derivative of H by the earlier coordinates, at x_(j > i) = high.
        x = self.high.expand(n, -1).clone()
        steps = torch.linspace(0, 1, CELLS + 1, dtype=x.dtype, device=x.device)
        for i in range(self.space.size):
            grid = self.low[i] + steps * (self.high[i] - self.low[i])
            rows = x[:, None].repeat(1, CELLS + 1, 1)
            rows[:, :, i] = grid
            values = self.terms(rows.flatten(0, 1))[2**i - 1].view(n, CELLS + 1)
            # Where H falls there is no mass.
            level = values.diff(dim=1).clamp_min(0).cumsum(1) + torch.finfo(x.dtype).tiny
            level = F.pad(level / level[:, -1:], (1, 0))
            u = torch.rand(n, 1, dtype=x.dtype, device=x.device)
            at = torch.searchsorted(level, u).clamp(1, CELLS)
            below, above = level.gather(1, at - 1), level.gather(1, at)
            part = ((u - below) / (above - below).clamp_min(torch.finfo(x.dtype).tiny)).clamp(0, 1)
            x[:, i] = (grid[at - 1] + part * (grid[1] - grid[0]))[:, 0]
        return x, self._log_prob(x, context)
