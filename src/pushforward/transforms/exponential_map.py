"""Exponential-map layers: each point of a sphere moves along the great circle in the direction of a potential's gradient.

    z = exp_x(v) = x cos |v| + v sin |v| / |v|,    v = (I - x x^T) grad phi(x)

(Sei 2013, "A Jacobian inequality for gradient maps on the sphere"; Rezende et al. 2020, arXiv:2002.02428, section 2.3.3). The
map is a bijection of the sphere if phi is c-convex for the cost d(x, y)^2 / 2. Such potentials form a convex set, so convex
combinations of simple ones are allowed. The inverse solves exp_x(v(x)) = z by Newton's method on the sphere. To draw samples by
the closed form, as reverse Kullback-Leibler divergences need, wrap the layer in `Inverse`.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core import Sphere, Transform, context_space
from ..errors import SpecError
from ..functional.bounds import positive
from ..networks import Parameters, Recorded

ITERATIONS = 60
"""Largest number of Newton steps of the inverse."""
COMPILED = 15
"""Number of Newton steps in compiled code, which cannot stop early."""


class SpherePotential(Recorded, nn.Module, abc.ABC):
    """Base class of potentials phi on the sphere, given as functions on the space around it.

    Args:
        features: Number of dimensions n.
        start: Starting values of the free parameters.
        context: Length of the context on which the parameters depend; 0 for none.
        hidden: Widths of the hidden layers of the network from the context; an empty tuple gives a linear map.
        activation: Activation function of that network.
    """

    def __init__(
        self, features: int, start: Tensor, context: int = 0, hidden: Sequence[int] = (), activation: str = "relu"
    ) -> None:
        super().__init__()
        self.features, self.length = features, context
        self.parameters_of = Parameters(start, context, hidden, activation)

    @abc.abstractmethod
    def value(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return phi(x): (B, n) -> (B,)."""

    @abc.abstractmethod
    def derivatives(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the gradient (B, n) and the Hessian, which broadcasts to (B, n, n), in the space around the sphere."""


class QuadraticPotential(SpherePotential):
    """Polynomial potential phi(x) = m.x + x^T A x / 2 with |m| + (largest - smallest eigenvalue of A) < 1.

    The potential m.x is c-convex up to |m| = 1. So is x^T A x / 2 up to a difference of eigenvalues of 1: with A = e e^T, a
    point at the angle t to e moves to t - sin(2 t) / 2, which increases with t. Without the half, t - sin(2 t) would
    decrease near t = 0, and the map would be no bijection. A convex combination of both is c-convex, too.

    Args:
        features: Number of dimensions n.
        context: Length of the context on which m and A depend; 0 for none.
        hidden: Widths of the hidden layers of the network from the context; an empty tuple gives a linear map.
        activation: Activation function of that network.
    """

    def __init__(
        self, features: int, *, context: int = 0, hidden: Sequence[int] = (), activation: str = "relu"
    ) -> None:
        start = 0.3 * torch.randn(features + features * (features + 1) // 2)
        super().__init__(features, start, context, hidden, activation)

    def _made(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return m (B or 1, n) and A (B or 1, n, n)."""
        n = self.features
        p = self.parameters_of(context)
        m, entries = p.split((n, n * (n + 1) // 2), -1)
        rows, columns = torch.tril_indices(n, n, device=p.device)
        lower = p.new_zeros(*p.shape[:-1], n, n)
        lower[..., rows, columns] = entries
        matrix = (lower + lower.mT) / 2
        values = torch.linalg.eigvalsh(matrix)
        size = 1 + (m.square().sum(-1) + torch.finfo(p.dtype).tiny).sqrt() + values[..., -1] - values[..., 0]
        return m / size[..., None], matrix / size[..., None, None]

    def value(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return phi(x): (B, n) -> (B,)."""
        m, a = self._made(context)
        return (m * x).sum(-1) + (x * (a @ x.unsqueeze(-1)).squeeze(-1)).sum(-1) / 2

    def derivatives(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the gradient m + A x (B, n) and the Hessian A (B or 1, n, n)."""
        m, a = self._made(context)
        return m + (a @ x.unsqueeze(-1)).squeeze(-1), a


class RadialPotential(SpherePotential):
    """Sum of radial potentials phi(x) = sum_k a_k / b_k exp(b_k (m_k.x - 1)) with a_k, b_k > 0, sum_k a_k < 1 and |m_k| = 1.

    One of them moves a point at the angle t to m_k to t - a sin t exp(b (cos t - 1)), whose slope is at least 1 - a.

    Args:
        features: Number of dimensions n.
        components: Number K of radial potentials.
        context: Length of the context on which the parameters depend; 0 for none.
        hidden: Widths of the hidden layers of the network from the context; an empty tuple gives a linear map.
        activation: Activation function of that network.

    Raises:
        SpecError: There are no components.
    """

    def __init__(
        self,
        features: int,
        components: int = 1,
        *,
        context: int = 0,
        hidden: Sequence[int] = (),
        activation: str = "relu",
    ) -> None:
        if components < 1:
            raise SpecError(f"expected at least 1 radial potential, got {components}")
        self.components = components
        # The columns are m, the logit of a against a remaining share of zero logit, and b.
        start = torch.cat([torch.randn(components, features), torch.zeros(components, 2)], 1)
        start[:, features] = -1.0 - math.log(components)
        super().__init__(features, start, context, hidden, activation)

    def _made(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return m (B or 1, K, n), a and b (B or 1, K)."""
        m, share, steep = self.parameters_of(context).split((self.features, 1, 1), -1)
        logits = share.squeeze(-1)
        rest = torch.zeros_like(logits[..., :1])
        a = torch.cat([logits, rest], -1).softmax(-1)[..., :-1]
        return m / m.norm(dim=-1, keepdim=True), a, positive(steep.squeeze(-1), 1e-3)

    def value(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return phi(x): (B, n) -> (B,)."""
        m, a, b = self._made(context)
        return (a / b * (b * ((m @ x.unsqueeze(-1)).squeeze(-1) - 1)).exp()).sum(-1)

    def derivatives(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the gradient sum_k c_k m_k (B, n) and the Hessian sum_k b_k c_k m_k m_k^T, c_k = a_k exp(b_k (m_k.x - 1))."""
        m, a, b = self._made(context)
        c = a * (b * ((m @ x.unsqueeze(-1)).squeeze(-1) - 1)).exp()
        return (c.unsqueeze(-1) * m).sum(-2), ((b * c).unsqueeze(-1) * m).mT @ m


class ExponentialMap(Transform):
    """Exponential-map layer z = exp_x(v) with v the tangential gradient of a c-convex potential.

    With P = I - x x^T, gradient g and Hessian H of the potential, A = H P and v = P g, the derivative along tangent vectors is

        J = C P + S (P A - x v^T - (x.g) P - x w^T) + 2 S' v w^T,    w = A^T v - (x.g) v,

    with C = cos |v| and S = sin |v| / |v| as functions of q = |v|^2, and S' = dS/dq. J maps the tangent space of x to that of
    z, so log |det| in orthonormal bases of both is log |det (J + z x^T)|.

    Args:
        space: Sphere of vectors in n dimensions.
        potential: Potential phi.
    """

    def __init__(self, space: Sphere, potential: SpherePotential) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        self.potential, self.context = potential, context_space(potential.length)

    def _image(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return z (B, n) and the matrix J + z x^T (B, n, n)."""
        g, hessian = self.potential.derivatives(x, context)
        radial = (x * g).sum(1, keepdim=True)
        v = g - radial * x
        q = v.square().sum(1, keepdim=True)
        c, s, s_slope = cosine_and_sinc(q)
        z = c * x + s * v
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        p = eye - x.unsqueeze(2) * x.unsqueeze(1)
        a = hessian @ p
        w = (v.unsqueeze(1) @ a).squeeze(1) - radial * v
        # Columns times rows: J = (C - S (x.g)) P + S P A - S x (v + w)^T + 2 S' v w^T, and z x^T is added.
        moved = (c - s * radial).unsqueeze(2) * p + s.unsqueeze(2) * (p @ a)
        outer = torch.stack([-s * x, 2 * s_slope * v, z], 2) @ torch.stack([v + w, w, x], 1)
        return z, moved + outer

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp: (B, n) -> (B, n), (B,) in nats."""
        z, matrix = self._image(x, context)
        return self.z_space.nearest(z), torch.linalg.slogdet(matrix)[1]

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, by Newton's method: (B, n) -> (B, n), (B,) in nats."""
        with torch.no_grad():
            start = self._solved(z, context)
            slopes = self._image(start, context)[1]
        image = self._image(start, context)[0]
        # One recorded Newton step at the solution has the derivatives of the solution (implicit function theorem).
        x = self.x_space.nearest(start - torch.linalg.solve(slopes, image - z))
        return x, -torch.linalg.slogdet(self._image(x, context)[1])[1]

    def _solved(self, z: Tensor, context: Tensor | None) -> Tensor:
        """Return the x with exp_x(v(x)) = z, (B, n), without gradients.

        A step changes x so that its image moves along the great circle to z. To first order this reduces the distance of the
        image from z wherever J is regular, so a step that is short enough always helps: a step that does not is repeated at a
        quarter of its length.
        """
        space = self.x_space
        # The map is close to the identity, so the point that is reached from z against the gradient is a good start.
        x = space.nearest(2 * z - self._image(z, context)[0])
        image, matrix = self._image(x, context)
        away = (image - z).norm(dim=1)
        share = torch.ones_like(away)
        enough = 4 * torch.finfo(z.dtype).eps
        for _ in range(COMPILED if torch.compiler.is_compiling() else ITERATIONS):
            if not torch.compiler.is_compiling() and not bool(((away > enough) & (share > 1e-3)).any()):
                break
            # The tangent vector at the image that points to z; its length is the angle between them.
            along = (image * z).sum(1, keepdim=True)
            side = z - along * image
            sine = side.norm(dim=1, keepdim=True)
            towards = side * (torch.atan2(sine, along) / sine.clamp_min(torch.finfo(z.dtype).tiny))
            move = torch.linalg.solve(matrix, towards)
            move = move / move.norm(dim=1, keepdim=True).clamp_min(1.0)
            there = space.nearest(x + share.unsqueeze(1) * move)
            new_image, new_matrix = self._image(there, context)
            new_away = (new_image - z).norm(dim=1)
            better = new_away < away
            x = torch.where(better[:, None], there, x)
            image = torch.where(better[:, None], new_image, image)
            matrix = torch.where(better[:, None, None], new_matrix, matrix)
            away = torch.where(better, new_away, away)
            share = torch.where(better, (4 * share).clamp_max(1.0), share / 4)
        return x


SERIES = 0.1
"""Value of q below which sin(sqrt q) / sqrt q and its derivative are computed by their power series."""


def cosine_and_sinc(q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return C = cos(sqrt q), S = sin(sqrt q) / sqrt q and dS/dq for q >= 0, with finite derivatives of all orders at q = 0."""
    small = q < SERIES
    low, high = torch.where(small, q, 0.0), torch.where(small, SERIES, q)
    # C = sum_k (-q)^k / (2 k)! and S = sum_k (-q)^k / (2 k + 1)!.
    cosines, sincs, slopes = (torch.zeros_like(q) for _ in range(3))
    for k in reversed(range(6)):
        sign = (-1.0) ** k
        cosines = cosines * low + sign / math.factorial(2 * k)
        sincs = sincs * low + sign / math.factorial(2 * k + 1)
        slopes = slopes * low - sign * (k + 1) / math.factorial(2 * k + 3)
    root = high.sqrt()
    c, s = root.cos(), root.sin() / root
    return (
        torch.where(small, cosines, c),
        torch.where(small, sincs, s),
        torch.where(small, slopes, (c - s) / (2 * high)),
    )
