"""Flow matching: a velocity field is learned without solving an ODE, from bridges between data and noise.

Data x is at t = 0 and noise z at t = 1, as in a continuous layer. A bridge draws a point y_t between x and z and returns its
velocity u_t there; the loss is

    E_(t, x, z) |v(t, y_t) - u_t|^2 / 2.

It is minimal for the field that carries the distribution of y_0 to that of y_1 (Lipman et al. 2023, arXiv:2210.02747,
theorem 2; Tong et al. 2024, arXiv:2302.00482). Data and noise are paired independently, or by optimal transport between
the rows of a batch. Paths of the latter hardly cross, which makes the learned field nearly straight and of constant speed.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core import Distribution
from ..errors import SpecError
from ..transforms.continuous import is_continuous
from .transport import assigned, entropic_pairs
from .weighted_mean import weighted_mean


@dataclass(frozen=True)
class Bridge(abc.ABC):
    """Base class of bridges: pairs of data and noise, and random points between them."""

    @property
    def pairs_rows(self) -> bool:
        """Whether the noise of a row depends on the other rows of its batch."""
        return type(self).pair is not Bridge.pair

    def drawn(self, x: Tensor) -> Tensor:
        """Return one draw of the noise for each row of data: (B, *E) -> (B, *E). By default it is standard normal."""
        return torch.randn_like(x)

    def pair(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the noise for each row of data, a selection of z: (B, *E), (B, *E) -> (B, *E). By default z itself."""
        return z

    @abc.abstractmethod
    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a point at time t and the velocity there: t (B, 1, ...), x and z (B, *E) -> y, u (B, *E)."""


@dataclass(frozen=True)
class Straight(Bridge):
    """Straight bridge y = (1 - t) x + t z + s e, u = z - x, with independent pairs (Tong et al., "I-CFM").

    `e` is standard normal noise.

    Args:
        sigma: Standard deviation s of the noise around the line.
    """

    sigma: float = 0.0

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a point on the line or around it, and the direction of the line."""
        y = torch.lerp(x, z, t)
        return y + self.sigma * torch.randn_like(y) if self.sigma else y, z - x


@dataclass(frozen=True)
class OptimalTransport(Straight):
    """Straight bridge between the pairs with the least total squared distance in a batch ("OT-CFM"); needs SciPy.

    Args:
        most: Largest number of rows that are paired together; the time for n rows grows with n^3.
    """

    most: int = 256

    def pair(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the noise in the order of the data to which it is assigned."""
        return assigned(x, z, self.most)


@dataclass(frozen=True)
class Conditional(Bridge):
    """Gaussian conditional bridge y = (1 - t) x + (s + (1 - s) t) z, u = (1 - s) z - x (Lipman et al., eq. 20 to 23).

    Args:
        sigma: Standard deviation s of the Gaussian around each row of data at t = 0.
    """

    sigma: float = 1e-2

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a point on the line from x + s z to z, and the direction of the line."""
        return (1 - t) * x + (self.sigma + (1 - self.sigma) * t) * z, (1 - self.sigma) * z - x


@dataclass(frozen=True)
class VariancePreserving(Bridge):
    """Bridge of constant variance, y = cos(pi t / 2) x + sin(pi t / 2) z (Albergo, Vanden-Eijnden 2023, arXiv:2209.15571)."""

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a point on the arc, and the derivative there."""
        cos, sin = torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t)
        return cos * x + sin * z, math.pi / 2 * (cos * z - sin * x)


@dataclass(frozen=True)
class SchroedingerBridge(Bridge):
    """Brownian bridges between pairs from entropic optimal transport (Tong et al., "SB-CFM", eq. 21).

        y = m + s sqrt(t (1 - t)) e,  m = (1 - t) x + t z,      u = (1 - 2 t) / (2 t (1 - t)) (y - m) + z - x.

    Pairs are drawn from the transport plan of the batch with regularisation 2 s^2.

    Args:
        sigma: Standard deviation s of the Brownian motion at time one.
    """

    sigma: float = 0.5

    def pair(self, x: Tensor, z: Tensor) -> Tensor:
        """Return one row of z for each row of x, drawn from the conditional distribution of the plan."""
        return z[entropic_pairs(x, z, 2 * self.sigma**2)]

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a point around the line, and the velocity of the probability flow there."""
        # At t = 0 and t = 1 the velocity of the noise is infinite.
        t = t.clamp(1e-3, 1 - 1e-3)
        noise = self.sigma * torch.randn_like(x)
        width = (t * (1 - t)).sqrt()
        # y - m = width * noise with width^2 = t (1 - t), so the first term of u is (1 - 2 t) / (2 width) noise.
        return torch.lerp(x, z, t) + width * noise, (1 - 2 * t) / (2 * width) * noise + z - x


class FlowMatching(nn.Module):
    """Flow matching loss E_t |v(t, y_t) - u_t|^2 / 2 of a continuous layer, minus the log-likelihood of the layers before.

    The other parts of a model of a table (labels, noise of integers) are learned by their likelihood.

    Args:
        model: Flow whose last layer is its only `Continuous` layer, or a model of a table around such a flow.
        bridge: Bridge between data and noise.
    """

    likelihood = False
    minimises = "squared error of the velocity (flow matching), squared units per row"

    def __init__(self, model: Distribution, bridge: Bridge) -> None:
        super().__init__()
        self.model, self.bridge = model, bridge

    @property
    def unweighted(self) -> str | None:
        """Reason why rows cannot be weighted; None if they can.

        Optimal transport gives each row of a batch the same share of the noise. With weights on the rows, the noise
        would no longer follow the base.
        """
        return (
            f"with {type(self.bridge).__name__}, which pairs rows of equal weight" if self.bridge.pairs_rows else None
        )

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar in squared units of the layer's events.

        Args:
            batch: Batch (x,) or (x, context) of B rows.
            weights: Weights of the rows, (B,), or None.

        Raises:
            SpecError: The model has no continuous layer.
        """
        events, context, _ = self.model._flatten(batch[0], batch[1] if len(batch) > 1 else None)
        logp, given = self.model._log_prob_until(is_continuous, events, context)
        if given is None:
            raise SpecError(
                f"expected a model with a continuous layer to match, got a {type(self.model).__name__} without"
            )
        layer, x, context = given
        # Without a gradient to the layers before: they could lower the squared error by shrinking x, and learn from their
        # likelihood only.
        x = x.detach()
        z = self._paired(x, self.bridge.drawn(x), context)
        t = torch.rand(len(x), *[1] * (x.dim() - 1), dtype=x.dtype, device=x.device)
        y, u = self.bridge.between(t, x, z)
        v = layer.speed(t, y, context)  # type: ignore[operator]
        return weighted_mean((v - u).flatten(1).square().sum(1), weights) / 2 - weighted_mean(logp, weights)

    def _paired(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """Return the noise of each row, paired among the rows of the same context.

        Draws given a context start from the base, so the noise of the rows with this context has to follow the base. Pairs
        across contexts would break this, as each context would get the noise that is close to its rows. Where each row has
        a context of its own, such as a vector of measurements, the pairs are independent.
        """
        if context is None or not self.bridge.pairs_rows:
            return self.bridge.pair(x, z)
        _, group, counts = context.flatten(1).unique(dim=0, return_inverse=True, return_counts=True)
        paired = z.clone()
        for k in (counts > 1).nonzero()[:, 0]:
            rows = (group == k).nonzero()[:, 0]
            paired[rows] = self.bridge.pair(x[rows], z[rows])
        return paired
