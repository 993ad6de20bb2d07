"""Copula layer: an autoregressive layer that keeps the marginals, so that it learns the dependence alone.

All coordinates are logistic scores, logits of numbers that are uniform. From independent scores e the layer makes

    y_i = k_i^-1(e_i; e_<i),    z_i = logit G_i(y_i),    G_i(y) = E sigmoid(k_i(y; E_<i))

with increasing maps k_i, logits of mixtures of logistic distribution functions whose parameters a network gives. G_i is the
distribution function of y_i, so G_i(y_i) is uniform (Wiese, Knobloch and Korn 2019, arXiv:1907.03361, section 4). The
expectation is a sum over fixed nodes: a trapezoidal rule for the second coordinate, whose error is near rounding, and points
of Sobol for further ones. Whatever the nodes, the density is exact and normalised. Their error shows in the marginals alone:
`evaluation.copula_distances` measures it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Real, Transform
from ..errors import SpecError
from ..functional.bounds import soft_clip
from ..functional.logistic import mixture_logit_cdf, mixture_parts
from ..networks import MaskedMLP
from .scalar import LogisticMixture

REACH = 18.0
"""Largest score of a node; a logistic variable is beyond it with probability 3e-8."""
GRID = 257
"""Number of points of the table that gives intervals around roots."""
ROUNDS = 6
"""Number of times that the points of the table are moved."""
FARTHEST = 15.0
"""Inverse hyperbolic sine of the largest score of the table."""
ITERATIONS = 3
"""Number of Newton steps from the table to a root."""
CHUNK = 500_000
"""Largest number of rows times nodes times components that are evaluated at once."""


class CopulaLayer(Transform):
    """Autoregressive layer on logistic scores that keeps every marginal logistic.

    Each direction solves for one root in each coordinate but the first: of G_i forwards, of k_i in the inverse.

    Args:
        space: Space of x and z, of shape (D,).
        components: Number of logistic distributions in each map k_i.
        hidden: Widths of the hidden layers of the masked network.
        activation: Activation function of the network; a smooth one makes the trapezoidal rule exact.
        nodes: Number of nodes of the expectation for the second coordinate, at least 16; further ones have 4 times as many.

    Raises:
        SpecError: The space is not one of vectors, or there are too few nodes.
    """

    first: Tensor
    first_log_weights: Tensor
    further: Tensor
    further_log_weights: Tensor

    def __init__(
        self,
        space: Real,
        components: int = 4,
        *,
        hidden: tuple[int, ...] = (32, 32),
        activation: str = "silu",
        nodes: int = 64,
    ) -> None:
        super().__init__()
        if len(space.shape) != 1 or nodes < 16:
            raise SpecError(f"expected a space of vectors and at least 16 nodes, got {space} and {nodes}")
        self.x_space = self.z_space = space
        self.size = space.shape[0]
        self.scalar = LogisticMixture(components, bound=3.0)
        self.net = MaskedMLP(self.size, self.scalar.n, hidden=hidden, activation=activation)
        # One rule for one earlier coordinate, and one for several.
        line = torch.linspace(-REACH, REACH, nodes, dtype=torch.float64)
        first = torch.zeros(nodes, self.size, dtype=torch.float64)
        first[:, 0] = line
        self._keep("first", first, (F.logsigmoid(line) + F.logsigmoid(-line)).log_softmax(0))
        count = 4 * nodes if self.size > 2 else 0
        self.chunk = max(1, CHUNK // (components * max(nodes, count)))
        further = torch.zeros(count, self.size, dtype=torch.float64)
        if count:
            sobol = torch.quasirandom.SobolEngine(self.size - 1, scramble=True, seed=0).draw(count, dtype=torch.float64)
            further[:, :-1] = torch.logit(sobol.clamp(1e-8, 1 - 1e-8))
        self._keep("further", further, torch.full((count,), -math.log(max(count, 1))))

    def _keep(self, name: str, nodes: Tensor, log_weights: Tensor) -> None:
        for part, value in ((name, nodes), (f"{name}_log_weights", log_weights)):
            self.register_buffer(part, value.to(torch.get_default_dtype()), persistent=False)

    def _parameters_at(self, e: Tensor) -> Tensor:
        """Return the parameters of all maps for scores e, which the network sees cut at `REACH`: (B, D) -> (B, D, n)."""
        return self.net(soft_clip(e, REACH))

    def _mixture(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-weights, means and log-scales (M K,) of G_i, a mixture of the components of all nodes."""
        nodes, log_weights = (
            (self.first, self.first_log_weights) if i == 1 else (self.further, self.further_log_weights)
        )
        shares, means, log_scales = mixture_parts(
            self._parameters_at(nodes)[:, i], self.scalar.bound, self.scalar.spread
        )
        return (log_weights[:, None] + shares).flatten(), means.flatten(), log_scales.flatten()

    def _root(self, z: Tensor, mixture: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return the y with logit G_i(y) = z, with its gradient from one Newton step.

        A table of G encloses each root. Its points are moved until they are even in the inverse hyperbolic sine of z. The
        number of steps is fixed, so that the function can be compiled, exported and vectorised.
        """
        with torch.no_grad():
            levels = torch.linspace(-FARTHEST, FARTHEST, GRID, dtype=z.dtype, device=z.device).sinh()
            # G lies between the distribution functions of its components.
            _, means, log_scales = mixture
            ends = means + log_scales.exp() * levels[[0, -1], None]
            grid = ends[0].amin() + (ends[1].amax() - ends[0].amin()) * (levels / levels[-1] + 1) / 2
            for _ in range(ROUNDS):
                table = mixture_logit_cdf(grid, *mixture)[0]
                grid = torch.cat([grid[:1], _interpolated(levels[1:-1], table, grid), grid[-1:]])
            table = mixture_logit_cdf(grid, *mixture)[0]
            place = torch.searchsorted(table, _dense(z)).clamp(1, GRID - 1)
            # One step further on both sides, for the rounding of the table.
            low, high = grid[(place - 2).clamp_min(0)], grid[(place + 1).clamp_max(GRID - 1)]
            y = _interpolated(z, table, grid)
            for _ in range(ITERATIONS):
                value, log_slope = mixture_logit_cdf(y, *mixture)
                low, high = torch.where(value < z, y, low), torch.where(value > z, y, high)
                newton = y - (value - z) * (-log_slope).exp()
                y = torch.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        if torch.is_grad_enabled():
            value, log_slope = mixture_logit_cdf(y, *mixture)
            y = y - (value - z) * (-log_slope).exp().detach()
        return y

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return independent scores and dlogp: (B, D) -> (B, D), (B,) in nats."""
        if self._too_long(x):
            parts = [self.forward(part) for part in x.split(self.chunk)]
            return torch.cat([z for z, _ in parts]), torch.cat([dlogp for _, dlogp in parts])
        free = [x[:, 0]]
        dlogp = self._nothing(x)
        for i in range(1, self.size):
            mixture = self._mixture(i)
            y = self._root(x[:, i], mixture)
            _, log_slope = mixture_logit_cdf(y, *mixture)
            e, slope = self.scalar.forward(y, self._given(free))
            free.append(e)
            dlogp = dlogp + slope - log_slope
        return torch.stack(free, 1), dlogp

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return dependent scores and dlogp: (B, D) -> (B, D), (B,) in nats."""
        if self._too_long(z):
            parts = [self.inverse(part) for part in z.split(self.chunk)]
            return torch.cat([x for x, _ in parts]), torch.cat([dlogp for _, dlogp in parts])
        made = [z[:, 0]]
        dlogp = self._nothing(z)
        parameters = self._parameters_at(z)
        for i in range(1, self.size):
            y, slope = self.scalar.inverse(z[:, i], parameters[:, i])
            x, log_slope = mixture_logit_cdf(y, *self._mixture(i))
            made.append(x)
            dlogp = dlogp + slope + log_slope
        return torch.stack(made, 1), dlogp

    def _too_long(self, v: Tensor) -> bool:
        """Return whether rows are evaluated in several parts, for the sake of memory; compiled code takes all at once."""
        return not torch.compiler.is_compiling() and v.shape[0] > self.chunk

    def _given(self, free: list[Tensor]) -> Tensor:
        """Return the parameters of k_i, where i is the number of scores known so far: (B, n)."""
        i = len(free)
        known = torch.stack(free + [torch.zeros_like(free[0])] * (self.size - i), 1)
        return self._parameters_at(known)[:, i]


def _interpolated(z: Tensor, table: Tensor, grid: Tensor) -> Tensor:
    """Return the y at z, by linear interpolation of increasing numbers `table` at the points `grid`."""
    place = torch.searchsorted(table, _dense(z)).clamp(1, len(table) - 1)
    rise = (table[place] - table[place - 1]).clamp_min(torch.finfo(z.dtype).tiny)
    part = ((z - table[place - 1]) / rise).clamp(0, 1)
    return grid[place - 1] + part * (grid[place] - grid[place - 1])


def _dense(z: Tensor) -> Tensor:
    """Return a contiguous copy, also inside `torch.func.vmap`, where `contiguous` has no effect."""
    return torch.stack([z])[0]
