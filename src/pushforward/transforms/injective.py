"""Injective layer: an encoder to fewer coordinates, a decoder, and the volume of the surface that it parametrises."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core import Real, Space
from ..errors import SpecError
from ..networks import MLP
from .free_form_layer import EncoderDecoder, Gradient, jacobian


class Injective(EncoderDecoder):
    """Injective layer between D coordinates and L < D: z = f(x), and the point x' = g(z) of an L-dimensional manifold.

        y = (x - m) / s,   z = A y + encoder(y),   x' = m + s (A' z + decoder(z)),
        dlogp = -1/2 log det(J^T J)    with the Jacobian J of g at z

    The number is the log-density of the projection g(f(x)) with respect to the volume of the manifold (nats per row, where the
    volume has the units of x to the power L). It does not measure the distance of x from the manifold: that is the penalty
    `reconstruction`, |x - g(f(x))|^2 / s^2. Without the penalty training has no optimum, since a manifold on which the rows lie
    closer together gives them a larger density.

    The start from data sets m to the mean, s to the root of the mean variance of the coordinates, and A and A' to the first L
    principal components, with variance one for each coordinate of z. Both networks start at zero with `MLP`.

    In training the gradient takes two products with Jacobians, at the projection x' and not at x, which may be far from the
    manifold. With random signs v (Sorrenson et al. 2024, arXiv:2306.01843, section 4),

        d dlogp = tr(dJ_f J) = E [v^T dJ_f(x') J v].

    The value of this term is then zero.

    Args:
        space: Space of x, of shape (D,).
        latent: Number L of coordinates of z, from 1 to D - 1.
        encoder: Network of f, or a function (inputs, outputs, context=length) that returns it; an `MLP` by default.
        decoder: The same for g.
        gradient: Gradient of the volume in training: "surrogate", or "exact" (one product for each coordinate of z).
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: The space does not hold vectors, L is out of range, or the kind of gradient is unknown.
    """

    standardises = False
    loc: Tensor
    scale: Tensor
    started: Tensor

    def __init__(
        self,
        space: Real,
        latent: int,
        encoder: Callable[..., nn.Module] | nn.Module = MLP,
        decoder: Callable[..., nn.Module] | nn.Module = MLP,
        *,
        gradient: Gradient = "surrogate",
        context: int | Space = 0,
    ) -> None:
        size = space.size
        if not 1 <= latent < size:
            raise SpecError(
                f"expected a number of latent coordinates from 1 to {size - 1}, fewer than the {size} of the data, got {latent}"
            )
        super().__init__(space, latent, encoder, decoder, gradient=gradient, context=context)
        self.into = nn.Parameter(torch.eye(latent, size))
        self.out_of = nn.Parameter(torch.eye(size, latent))
        self.register_buffer("loc", torch.zeros(size))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("started", torch.tensor(False))  # noqa: FBT003

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return f(x) and -1/2 log det(J^T J) at f(x): (B, D) -> (B, L), (B,) in nats."""
        z = self._encoded(x, context)
        if self.training and self.gradient == "surrogate":
            return z, self._surrogate(self._decoded(z, context), z, context)
        return z, -self._log_volume(z, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return g(z) and 1/2 log det(J^T J): (B, L) -> (B, D), (B,) in nats."""
        return self._decoded(z, context), self._log_volume(z, context)

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the results of `forward`, and the squared error of the reconstruction in units of s, (B,)."""
        z, dlogp, penalties = super().forward_aux(x, context)
        return z, dlogp, {name: error / self.scale.square() for name, error in penalties.items()}

    @torch.no_grad()
    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Set the centre, the scale and the linear maps from a batch by its principal components, but only once."""
        deviations = x - x.mean(0)
        scale = deviations.square().mean().sqrt()
        if bool(self.started) or not bool(scale > 0):
            return
        self.loc.copy_(x.mean(0))
        self.scale.copy_(scale)
        variances, directions = torch.linalg.eigh((deviations / scale).mT.cov())
        latent = self.z_space.shape[0]
        # A direction in which nothing varies keeps its length, so that the inverse stays finite.
        roots = variances[-latent:].clamp_min(1e-6).sqrt()
        self.into.copy_((directions[:, -latent:] / roots).mT)
        self.out_of.copy_(directions[:, -latent:] * roots)
        self.started.fill_(True)  # noqa: FBT003

    def _encoded(self, x: Tensor, context: Tensor | None) -> Tensor:
        y = (x - self.loc) / self.scale
        code: Tensor = y @ self.into.mT + self.encode(y, context)
        return code

    def _decoded(self, z: Tensor, context: Tensor | None) -> Tensor:
        event: Tensor = self.loc + self.scale * (z @ self.out_of.mT + self.decode(z, context))
        return event

    def _log_volume(self, z: Tensor, context: Tensor | None) -> Tensor:
        """Return the logarithm of the volume of the manifold for each unit of volume at z, (B,)."""
        rows = jacobian(self._decoded, z, context)
        return torch.linalg.slogdet(rows @ rows.mT).logabsdet / 2
