"""MLP density baseline: an energy network normalised on a grid, and the loss of an unnormalised one, which diverges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core import Box, Distribution, Exactness
from ..errors import SpecError
from ..networks import MLP
from .spec import Spec


class GridEnergy(Distribution):
    """Energy model p(x) = exp(-E(x)) / Z on a box, E(x) = MLP(x) + ridge |x|^2 / 2, with Z by the trapezoid rule.

        log Z = log sum_g w_g exp(-E(g)),   g on a regular grid, w_g = h^D, halved for each coordinate on the boundary

    Z is computed once in every call, with gradients. It is a quadrature, so `log_prob` has a bias of O(h^2) in an
    unknown direction. Samples come from the multilinear interpolant of exp(-E) between the grid points, whose integral
    is exactly this Z: a grid point is drawn with its share of Z, and triangular noise of one cell's width is added.
    Samples also differ from the density by O(h^2). They carry no gradients, and their reported log-density is `log_prob`.

    Args:
        space: Box with finite bounds and at most two coordinates.
        network: Network of E without the quadratic term, (B, D) -> (B, 1).
        grid: Number of points per axis, at least 2.
        ridge: Weight of the quadratic term.
    """

    own = Exactness.LOWER | Exactness.UPPER
    differentiable_draws = False

    def __init__(self, space: Box, network: MLP, grid: int, ridge: float) -> None:
        super().__init__()
        self.space: Box = space
        self.network, self.grid, self.ridge = network, grid, ridge

    @property
    def step(self) -> float:
        """Distance h between neighbouring grid points."""
        return (self.space.high - self.space.low) / (self.grid - 1)

    def energy(self, x: Tensor) -> Tensor:
        """Return E(x), minus the log-density up to a constant: (B, D) -> (B,)."""
        return self.network(x).squeeze(-1) + self.ridge / 2 * x.square().sum(-1)

    def nodes(self) -> tuple[Tensor, Tensor]:
        """Return the grid points (grid^D, D) and log w_g (grid^D,)."""
        axis = torch.linspace(self.space.low, self.space.high, self.grid, dtype=self.dtype, device=self.device)
        weight = torch.full_like(axis, math.log(self.step))
        # The trapezoid rule gives the ends of the axis half the weight.
        weight[0] = weight[-1] = math.log(self.step / 2)
        if self.space.size == 1:
            return axis.unsqueeze(-1), weight
        points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        return points, (weight.unsqueeze(0) + weight.unsqueeze(1)).flatten()

    def log_normaliser(self) -> Tensor:
        """Return log Z, a scalar in nats."""
        points, log_weights = self.nodes()
        return (log_weights - self.energy(points)).logsumexp(0)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return -self.energy(x) - self.log_normaliser()

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            points, log_weights = self.nodes()
            shares = (log_weights - self.energy(points)).softmax(0).double().cumsum(0)
            u = torch.rand(n, dtype=shares.dtype, device=shares.device) * shares[-1]
            node = points[torch.searchsorted(shares, u, right=True).clamp_max(len(points) - 1)]
            # The difference of two uniform numbers has the triangular density 1 - |u|, which is the weight of a grid
            # point in linear interpolation.
            x = node + self.step * (torch.rand_like(node) - torch.rand_like(node))
            # Half of the triangle around a point on the boundary lies outside. Reflection maps it to the half inside.
            low, high = self.space.low, self.space.high
            x = torch.where(x < low, 2 * low - x, x)
            x = torch.where(x > high, 2 * high - x, x).clamp(low, high)
        return x, self._log_prob(x, context)


def unnormalised_loss(model: GridEnergy, x: Tensor) -> Tensor:
    """Return the loss of an unnormalised density p = exp(-E), -1/n sum_i log p(x_i): the mean energy, a scalar.

    It has no lower bound: subtracting a constant from E lowers it by that constant. The function exists to show this;
    for training use the model's own `log_prob`.

    Args:
        model: Energy model.
        x: Points, (B, D).
    """
    return model.energy(x).mean()


@dataclass(frozen=True, kw_only=True)
class MLPDensity(Spec):
    """Energy network normalised on a grid, a baseline for flows in one or two dimensions.

    It takes no context, and outside [-bound, bound]^D log p = -inf. A grid in D dimensions has grid^D points, so the
    baseline is limited to two dimensions.

    Args:
        features: Number of features D, 1 or 2.
        hidden: Widths of the hidden layers of the network.
        activation: Activation function of the network: "tanh" or "silu".
        bound: Half-width of the box [-bound, bound] in every coordinate.
        grid: Number of grid points per axis; the narrowest structure of the data should contain several.
        ridge: Weight of |x|^2 / 2 in the energy.
    """

    name = "mlp-density"
    sizes = ("features",)
    family = "energy"
    symbol = "~"
    paper = "the multilayer-perceptron baseline of lecture courses on density estimation, here with a normaliser"

    features: int
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "silu"] = "tanh"
    bound: float = 6.0
    grid: int = 161
    ridge: float = 1e-2

    def validate(self) -> None:
        """Check the number of dimensions, the box, the grid and the ridge."""
        super().validate()
        self._at_least("features", 1)
        self._at_least("grid", 2)
        self._at_least("ridge", 0)
        if self.features > 2:
            raise SpecError(
                f"expected {self.name}.features <= 2, got {self.features}: its normaliser needs "
                f"a grid of n^d points, {self.grid}^{self.features} here; use a flow in higher dimensions"
            )
        if not (self.bound > 0 and math.isfinite(self.bound)):
            raise SpecError(f"expected {self.name}.bound to be positive and finite, got {self.bound}")

    def build(self) -> GridEnergy:
        """Return the model, which starts as exp(-ridge |x|^2 / 2) on the box."""
        network = MLP(self.features, 1, hidden=self.hidden, activation=self.activation)
        return GridEnergy(Box((self.features,), -self.bound, self.bound), network, self.grid, self.ridge)

    @classmethod
    def cases(cls) -> Iterator[MLPDensity]:
        """Yield specs with one and with two features."""
        yield cls(features=1, hidden=(8,), bound=3.0, grid=129)
        yield cls(features=2, hidden=(8, 8), activation="silu", bound=3.0, grid=65)
