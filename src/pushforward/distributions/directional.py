"""Distributions around directions: von Mises-Fisher on spheres, mixtures of it, and von Mises on the torus."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..core import Distribution, Sphere, Torus
from ..errors import SpecError
from ..functional.von_mises_fisher import draw_angles, height_rule, log_normaliser
from ..functional.von_mises_fisher_em import DirectionalFit, best_directional, fit_directional

CAP = 1e5
"""Default upper bound of the concentrations."""


class _Concentrated(Distribution):
    """Base class with learned concentrations k in (0, largest) around learned directions.

    Args:
        space: Space of one event.
        shape: Shape of the concentrations.
        dimensions: Number of dimensions n of one direction.
        largest: Upper bound of the concentrations.
    """

    def __init__(self, space: Sphere | Torus, shape: tuple[int, ...], dimensions: int, largest: float) -> None:
        super().__init__()
        if not 0 < largest <= CAP:
            raise SpecError(f"expected a largest concentration in (0, {CAP:g}], got {largest}")
        self.space, self.dimensions, self.largest = space, dimensions, largest
        self.free = nn.Parameter(torch.zeros(shape))

    @property
    def kappa(self) -> Tensor:
        """Concentrations k = 1 / (exp(-free) + 1 / largest): about exp(free), and at most `largest`."""
        return self.largest * torch.sigmoid(self.free - math.log(self.largest))

    @property
    def rule(self) -> Tensor:
        """Quadrature rule of the normaliser, see `height_rule`; computed anew, because a buffer would lose its digits."""
        return height_rule(self.dimensions, self.free.device).to(self.free.dtype)

    def _log_densities(self, squares: Tensor, kappa: Tensor) -> Tensor:
        """Return log p from squared distances |x - m|^2 = 2 (1 - m.x), in which concentrated densities keep their digits."""
        return -kappa * squares / 2 - log_normaliser(kappa, self.rule)


class VonMisesFisher(_Concentrated):
    """Von Mises-Fisher distribution p(x) = exp(k (m.x - 1)) / Z(k) on a sphere, with learned direction m and concentration k.

    For k = 0 it is uniform, for large k it is close to a normal distribution of variance 1 / k around m. Draws are exact, and
    their gradients too.

    Args:
        space: Sphere of vectors in n dimensions.
        largest: Upper bound of the concentration, at most 1e5.

    Raises:
        SpecError: The bound is out of range.

    References:
        Fisher 1953; Ulrich 1984 and Wood 1994 for draws.
    """

    def __init__(self, space: Sphere, *, largest: float = CAP) -> None:
        super().__init__(space, (1,), space.size, largest)
        self.direction = nn.Parameter(space.random(1)[0])

    @property
    def mean(self) -> Tensor:
        """Mean direction m, a unit vector (n,)."""
        return self.direction / self.direction.norm()

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start at the maximum-likelihood estimate for the batch."""
        fit = fit_directional(x, 1, 0.0, self.largest)
        self.direction.data.copy_(fit.means[0])
        self.free.data.copy_(_free(fit.kappa, self.largest))

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return self._log_densities((x - self.mean).square().sum(1), self.kappa)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x = draw_around(self.mean.expand(n, -1), self.kappa.expand(n), self.rule)
        return x, self._log_prob(x, context)


class VonMisesFisherMixture(_Concentrated):
    """Mixture of von Mises-Fisher distributions p(x) = sum_j w_j exp(k_j (m_j.x - 1)) / Z(k_j).

    A fresh mixture starts at the data, at a fit of expectation-maximisation. Concentrations are at most `largest`: where
    rows are repeated, the likelihood of a mixture without such a bound is infinite, so any likelihood should be
    reported with its bound. Draws have no gradient with respect to the weights.

    Args:
        space: Sphere of vectors in n dimensions.
        components: Number of components.
        largest: Upper bound of the concentrations, at most 1e5.

    Raises:
        SpecError: There are no components, or the bound is out of range.

    References:
        Banerjee, Dhillon, Ghosh, Sra 2005.
    """

    differentiable_draws = False
    fitted: Tensor

    def __init__(self, space: Sphere, components: int = 4, *, largest: float = 1e4) -> None:
        if components < 1:
            raise SpecError(f"expected at least 1 component, got {components}")
        super().__init__(space, (components,), space.size, largest)
        self.logits = nn.Parameter(torch.zeros(components))
        self.directions = nn.Parameter(space.random(components))
        self.register_buffer("fitted", torch.zeros(1, dtype=torch.bool))

    @property
    def means(self) -> Tensor:
        """Mean directions m_j, unit vectors (components, n)."""
        return self.directions / self.directions.norm(dim=1, keepdim=True)

    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start a fresh mixture at the fit of expectation-maximisation."""
        if bool(self.fitted) or x.shape[0] < 2:
            return
        self.start_at(best_directional(x, len(self.logits), self.largest))

    def start_at(self, fit: DirectionalFit) -> None:
        """Set the weights, means and concentrations to those of a fit with as many components."""
        self.logits.data.copy_(fit.weights.log())
        self.directions.data.copy_(fit.means)
        self.free.data.copy_(_free(fit.kappa, self.largest))
        self.fitted.fill_(value=True)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        squares = (x.unsqueeze(1) - self.means).square().sum(-1)
        return (self.logits.log_softmax(0) + self._log_densities(squares, self.kappa)).logsumexp(-1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        k = torch.multinomial(self.logits.softmax(0), n, replacement=True) if n else self.logits.new_empty(0).long()
        x = draw_around(self.means[k], self.kappa[k], self.rule)
        return x, self._log_prob(x, context)


class VonMises(_Concentrated):
    """Von Mises distributions of independent angles: p(x) = prod_i exp(k_i (cos(x_i - m_i) - 1)) / Z(k_i).

    Draws are exact, by the method of Best and Fisher 1979, and their gradients too.

    Args:
        space: Torus or circle.
        largest: Upper bound of the concentrations, at most 1e5.

    Raises:
        SpecError: The bound is out of range.
    """

    def __init__(self, space: Torus, *, largest: float = CAP) -> None:
        super().__init__(space, space.shape, 2, largest)
        self.mean = nn.Parameter(space.random(1)[0])

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        squares = (2 * torch.sin((x - self.mean) / 2)).square()
        return self._log_densities(squares, self.kappa).flatten(1).sum(1)

    def _sample(self, n: int, context: Tensor | None) -> tuple[Tensor, Tensor]:
        angles = draw_angles(self.kappa.expand(n, *self.space.shape).flatten(), 2, self.rule)
        sides = torch.where(torch.rand_like(angles) < 0.5, -1.0, 1.0) * angles
        x = self.space.nearest(self.mean + sides.reshape(n, *self.space.shape))
        return x, self._log_prob(x, context)


def draw_around(mean: Tensor, kappa: Tensor, rule: Tensor) -> Tensor:
    """Return one draw of the von Mises-Fisher distribution for each mean and concentration, with gradients.

    A draw is m cos t + u sin t, with the angle t to the mean and a uniformly distributed unit vector u orthogonal to it.

    Args:
        mean: Unit vectors (B, n).
        kappa: Concentrations (B,).
        rule: Result of `height_rule(n)`, in the dtype of the means.
    """
    angle = draw_angles(kappa, mean.shape[1], rule).unsqueeze(1)
    noise = torch.randn_like(mean)
    side = noise - (noise * mean).sum(1, keepdim=True) * mean
    x = mean * angle.cos() + side / side.norm(dim=1, keepdim=True) * angle.sin()
    return x / x.norm(dim=1, keepdim=True)


def _free(kappa: Tensor, largest: float) -> Tensor:
    """Return the free parameters of concentrations."""
    share = (kappa / largest).clamp(1e-12, 1 - 1e-6)
    return share.logit() + math.log(largest)
