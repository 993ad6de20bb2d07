"""Flow matching: a velocity learned without solving anything, from straight or curved bridges between data and noise.

Data x is at t = 0 and noise z at t = 1, as in a continuous layer. A bridge draws a point y_t between a pair and says with
which velocity u_t it passes there; the loss is

    E_(t, x, z) |v(t, y_t) - u_t|^2 / 2.

Its minimum is the field that carries the distribution of y_0 to that of y_1 (Lipman et al. 2023, arXiv:2210.02747, theorem 2;
Tong et al. 2024, arXiv:2302.00482). Which pairs are bridged is a coupling's choice: independent ones, or those of optimal
transport between the rows of a batch, whose paths hardly cross, so that the field is straight and has constant speed.
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
from .transport import assignment, entropic_pairs
from .weighted_mean import weighted_mean


@dataclass(frozen=True)
class Bridge(abc.ABC):
    """Pairs of data and noise, and what lies between them."""

    @property
    def pairs_rows(self) -> bool:
        """Whether the noise of a row depends on the other rows of its batch."""
        return type(self).pair is not Bridge.pair

    def pair(self, x: Tensor, z: Tensor) -> Tensor:
        """The noise of each row of data, from among those given: (B, *E), (B, *E) -> (B, *E); as they come."""
        return z

    @abc.abstractmethod
    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """A point at time t and the velocity there: t (B, 1, ...), x and z (B, *E) -> y, u (B, *E)."""


@dataclass(frozen=True)
class Straight(Bridge):
    """y = (1 - t) x + t z + s e, u = z - x, pairs as they come (Tong et al., "I-CFM").

    Args:
        sigma: s, deviation of the noise around the line.
    """

    sigma: float = 0.0

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """On the line, and its direction."""
        y = torch.lerp(x, z, t)
        return y + self.sigma * torch.randn_like(y) if self.sigma else y, z - x


@dataclass(frozen=True)
class OptimalTransport(Straight):
    """`Straight`, between the pairs of least total squared distance in a batch ("OT-CFM"); needs SciPy.

    Args:
        most: rows paired together, at most: the time for n rows grows with n^3.
    """

    most: int = 256

    def pair(self, x: Tensor, z: Tensor) -> Tensor:
        """The noise, put in the order of the data that it belongs to."""
        pieces = zip(x.split(self.most), z.split(self.most), strict=True)
        return torch.cat([b[assignment(a, b)] for a, b in pieces]) if len(x) > self.most else z[assignment(x, z)]


@dataclass(frozen=True)
class Conditional(Bridge):
    """y = (1 - t) x + (s + (1 - s) t) z, u = (1 - s) z - x: Lipman et al., eq. 20 to 23.

    Args:
        sigma: s, deviation of the Gaussian around each row of data at t = 0.
    """

    sigma: float = 1e-2

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """On the line from around the data to the noise, and its direction."""
        return (1 - t) * x + (self.sigma + (1 - self.sigma) * t) * z, (1 - self.sigma) * z - x


@dataclass(frozen=True)
class VariancePreserving(Bridge):
    """y = cos(pi t / 2) x + sin(pi t / 2) z, of variance one throughout (Albergo, Vanden-Eijnden 2023, arXiv:2209.15571)."""

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """On the arc, and its derivative."""
        cos, sin = torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t)
        return cos * x + sin * z, math.pi / 2 * (cos * z - sin * x)


@dataclass(frozen=True)
class SchroedingerBridge(Bridge):
    """Brownian bridges between pairs of entropic transport (Tong et al., "SB-CFM", eq. 21):

        y = m + s sqrt(t (1 - t)) e,  m = (1 - t) x + t z,      u = (1 - 2 t) / (2 t (1 - t)) (y - m) + z - x.

    Pairs are drawn from the plan of the batch with regularisation 2 s^2.

    Args:
        sigma: s, of the Brownian motion.
    """

    sigma: float = 0.5

    def pair(self, x: Tensor, z: Tensor) -> Tensor:
        """A draw from each row's share of the plan."""
        return z[entropic_pairs(x, z, 2 * self.sigma**2)]

    def between(self, t: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Around the line, and the velocity of the bridge's mean flow."""
        # At the ends the velocity of the noise is infinite.
        t = t.clamp(1e-3, 1 - 1e-3)
        noise = self.sigma * torch.randn_like(x)
        width = (t * (1 - t)).sqrt()
        return torch.lerp(x, z, t) + width * noise, (1 - 2 * t) / (2 * width) * noise + z - x


class FlowMatching(nn.Module):
    """Loss = E_t |v(t, y_t) - u_t|^2 / 2 of a model's continuous layer, minus the log-likelihood of all in front of it.

    Whatever a model of a table has beside the layer (labels, noise of integers) is learned by its likelihood.

    Args:
        model: a flow with one `Continuous` layer, the last one, or a model of a table around such a flow.
        bridge: between data and noise.
    """

    likelihood = False
    minimises = "squared error of the velocity (flow matching), squared units per row"

    def __init__(self, model: Distribution, bridge: Bridge) -> None:
        super().__init__()
        self.model, self.bridge = model, bridge

    @property
    def unweighted(self) -> str | None:
        """Reason why rows cannot be weighted; None if they can.

        Pairs of optimal transport give each row of a batch the same share of the noise. With weights on the rows the noise
        would no longer follow the base.
        """
        return (
            f"with {type(self.bridge).__name__}, which pairs rows of equal weight" if self.bridge.pairs_rows else None
        )

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Batch (x,) or (x, context), B rows each, and weights (B,) -> scalar, in squared units of the layer's events.

        Raises:
            SpecError: the model has no continuous layer.
        """
        events, context, _ = self.model._flatten(batch[0], batch[1] if len(batch) > 1 else None)
        logp, given = self.model._log_prob_until(is_continuous, events, context)
        if given is None:
            raise SpecError(
                f"expected a model with a continuous layer to match, got a {type(self.model).__name__} without"
            )
        layer, x, context = given
        x = x.detach()
        z = self._paired(x, torch.randn_like(x), context)
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
