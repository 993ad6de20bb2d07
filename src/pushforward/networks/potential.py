"""Potential of OT-Flow, with its gradient and the trace of its Hessian in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SpecError
from ..functional.jacobians import jacobian_norms
from .velocity import Rates, Velocity


class Potential(Velocity):
    """Velocity v = -grad_x Phi of a potential Phi(s), s = (x, t, c), a residual network with log-cosh activations.

        Phi(s) = w . u_M + s^T A^T A s / 2 + b . s,    u_0 = sigma(K_0 s + b_0),    u_i = u_(i-1) + h sigma(K_i u_(i-1) + b_i),

    sigma(a) = log(2 cosh a), so that sigma' = tanh and sigma'' = 1 - tanh^2, and h = 1 / M. With s_i = tanh of the
    argument of the i-th sigma, z_(M+1) = w, z_i = z_(i+1) + h K_i^T (s_i z_(i+1)) and z_0 = K_0^T (s_0 z_1),

        grad Phi = z_0 + A^T A s + b,      tr(hess_x Phi) = sum_i h_i ((1 - s_i^2) z_(i+1)) . q_i + |A E|^2,

    with h_0 = 1 and h_i = h, q_i the squared row norms of K_i J_(i-1), J_i the Jacobian of u_i in x, and E the columns
    of x. This takes m^2 d multiplications per layer (Onken, Wu Fung, Li, Ruthotto 2021, arXiv:2006.00104, eq. 11 to 14,
    and their appendix for M > 1).

    The Hamilton-Jacobi-Bellman residual |-dPhi/dt + |grad_x Phi|^2 / 2| is zero along optimal paths.

    Args:
        features: Length d of x.
        hidden: Number m of hidden units.
        layers: Number of layers M + 1, at least 2: the first layer and M residual layers.
        context: Length of c, 0 for none.
        rank: Largest number of rows of A; A has fewer rows if s is shorter.

    Raises:
        SpecError: There are fewer than two layers, no hidden units or no rows.
    """

    penalties = ("energy", "hjb")

    def __init__(self, features: int, hidden: int, *, layers: int = 2, context: int = 0, rank: int = 10) -> None:
        super().__init__()
        for name, value, least in (("layers", layers, 2), ("hidden", hidden, 1), ("rank", rank, 1)):
            if value < least:
                raise SpecError(f"expected {name} >= {least} in a potential, got {value}")
        size = features + 1 + context
        self.features = features
        self.first = nn.Linear(size, hidden)
        self.residual: Sequence[nn.Linear] = nn.ModuleList(  # type: ignore[assignment]
            nn.Linear(hidden, hidden) for _ in range(layers - 1)
        )
        # The published start, ones, makes the first paths as long as the network is wide and training several times slower.
        self.out = nn.Parameter(torch.full((hidden,), 1 / hidden))
        self.quadratic = nn.Parameter(torch.empty(min(rank, size), size))
        self.linear = nn.Linear(size, 1)
        nn.init.xavier_uniform_(self.quadratic)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        # A constant in Phi has no effect. It exists because the published numbers of parameters include it.
        self.linear.bias.requires_grad = False

    @property
    def step(self) -> float:
        """Step size h of the residual layers."""
        return 1 / len(self.residual)

    def _point(self, t: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        time = t.to(x.dtype).expand(x.shape[0], 1)
        return torch.cat([x, time] if context is None else [x, time, context], 1)

    def _through(self, s: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return u_M (B, m) and the slopes s_0 ... s_M, each (B, m)."""
        raw = self.first(s)
        u, slopes = log_cosh(raw), [raw.tanh()]
        for layer in self.residual:
            raw = layer(u)
            u = torch.add(u, log_cosh(raw), alpha=self.step)
            slopes.append(raw.tanh())
        return u, slopes

    def _back(self, s: Tensor, slopes: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return grad Phi (B, size) and z_1 ... z_(M+1)."""
        z = self.out.expand_as(slopes[0])
        kept = [z]
        for layer, slope in zip(reversed(self.residual), slopes[:0:-1], strict=True):
            z = torch.add(z, (slope * z) @ layer.weight, alpha=self.step)
            kept.append(z)
        gradient = (slopes[0] * z) @ self.first.weight
        return gradient + (s @ self.quadratic.mT) @ self.quadratic + self.linear.weight, kept[::-1]

    def value(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return Phi: t (), x (B, d), context (B, C) or None -> (B,)."""
        s = self._point(t, x, context)
        u, _ = self._through(s)
        return u @ self.out + (s @ self.quadratic.mT).square().sum(1) / 2 + self.linear(s).squeeze(1)

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return -grad_x Phi: t (), x (B, d), context (B, C) or None -> (B, d)."""
        s = self._point(t, x, context)
        return -self._back(s, self._through(s)[1])[0][:, : self.features]

    def rates(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Rates:
        """Return the velocity, minus the trace of the Hessian, the energy |v|^2 / 2 and the residual "hjb"."""
        s = self._point(t, x, context)
        _, slopes = self._through(s)
        gradient, z = self._back(s, slopes)
        v = -gradient[:, : self.features]
        energy = v.square().sum(1) / 2
        hjb = (energy - gradient[:, self.features]).abs()
        return v, -self._laplacian(slopes, z), {"energy": energy, "hjb": hjb}

    def _laplacian(self, slopes: Sequence[Tensor], z: Sequence[Tensor]) -> Tensor:
        """Return tr(hess_x Phi), (B,)."""
        first = self.first.weight[:, : self.features]
        norms = jacobian_norms(first, [layer.weight for layer in self.residual], slopes[:-1], self.step)
        total = _weighted(slopes[0], z[0]) @ first.square().sum(1)
        for slope, back, norm in zip(slopes[1:], z[1:], norms, strict=True):
            total = total + self.step * (_weighted(slope, back) * norm).sum(1)
        return total + self.quadratic[:, : self.features].square().sum()


def log_cosh(a: Tensor) -> Tensor:
    """Return log(2 cosh a), without overflow."""
    size = a.abs()
    return size + F.softplus(-2 * size)


def _weighted(slope: Tensor, z: Tensor) -> Tensor:
    """Return (1 - slope^2) z."""
    return torch.addcmul(z, slope.square(), z, value=-1)
