"""Monotone operator layers: the Cayley operator of a contraction.

For a contraction g of Lipschitz constant L < 1 with the Jacobian J, and with an auxiliary point u,

    x = (u + g(u)) / 2,    z = (u - g(u)) / 2,    so that z = u - x and x = u - z.

The map from x to z is F = ((I + g) / 2)^-1 - I. It is monotone, (F(x) - F(y)) . (x - y) >= 0, and every continuous monotone map
is the limit of such maps, while a residual layer x + g(x) has singular values below 2 (Ahn et al. 2022, arXiv:2210.08176,
section 3). Singular values of F are between (1 - L) / (1 + L) and (1 + L) / (1 - L). Each direction solves one fixed point,
u <- 2 x - g(u) or u <- 2 z + g(u). At u,

    log det dz/dx = log det(I - J) - log det(I + J) = sum_(k >= 1) ((-1)^k - 1) / k tr(J^k),

a series of the odd powers only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..networks.lipschitz import Contraction, Linear
from .contractive import Residual


class MonotoneOperator(Residual):
    """Monotone operator layer: z = (u - g(u, c)) / 2 where x = (u + g(u, c)) / 2, dlogp = log det(I - J) - log det(I + J).

    For g = 0 it is the identity. The arguments and errors are those of `Residual`, and so are the estimates of the
    log-determinant.

    Raises:
        InversionError: When called: the bound on the error of the fixed point is too large after all iterations.
    """

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and its contribution: x (B, *E) -> (B, *E), (B,) in nats."""
        u, push, pull = self._solved(2 * x, context)
        return u - x, self._log_det(u, push, pull)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and minus the contribution at x: z (B, *E) -> (B, *E), (B,) in nats."""
        u = self._turned()._solved(2 * z, context)[0]
        _, push, pull = self.net.linearised(u, context)
        return u - z, -self._log_det(u, push, pull)

    def _turned(self) -> Residual:
        """Return the residual layer u - g(u), with the same parameters."""
        return Residual(
            Negative(self.net),
            self.x_space,
            lipschitz=self.lipschitz,
            logdet=self.logdet,
            tolerance=self.tolerance,
            iterations=self.iterations,
            context=self.context or 0,
        )

    def _whole_log_det(self, x: Tensor, push: Linear) -> Tensor:
        """Return log det(I - J) - log det(I + J) from the whole Jacobian."""
        plus = self._jacobian(x, push)
        minus = 2 * torch.eye(plus.shape[-1], dtype=x.dtype, device=x.device) - plus
        return torch.linalg.slogdet(minus)[1] - torch.linalg.slogdet(plus)[1]

    def _coefficient(self, k: int) -> float:
        return ((-1) ** k - 1) / k


class Negative(Contraction):
    """Contraction -g with the parameters of another contraction g.

    Args:
        net: The contraction g.
    """

    def __init__(self, net: Contraction) -> None:
        nn.Module.__init__(self)  # no layers of its own
        self.net = net

    @property
    def coefficient(self) -> float:
        """Upper bound of the Lipschitz constant."""
        return self.net.coefficient

    def weights(self) -> list[Tensor]:
        """Return the scaled weights of g."""
        return self.net.weights()

    def linearised(
        self, x: Tensor, context: Tensor | None = None, weights: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Linear, Linear]:
        """Return -g(x, c), and the products with its Jacobian and the transpose of it."""
        value, push, pull = self.net.linearised(x, context, weights)
        return -value, lambda v: -push(v), lambda v: -pull(v)
