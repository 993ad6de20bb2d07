"""Layers of an encoder and a decoder without structure, which training makes inverse to each other: the free-form layer."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ..core import Exactness, Real, Space, Transform, context_space
from ..errors import SpecError
from ..functional.probes import signs
from ..networks import MLP, make_conditioner

Gradient = Literal["surrogate", "exact"]


class EncoderDecoder(Transform):
    """Base class of layers with an encoder and a decoder without structure.

    Args:
        space: Space of x, of shape (D,).
        latent: Number of coordinates of z.
        encoder: Network of the encoder, or a function (inputs, outputs, context=length) that returns it.
        decoder: The same for the decoder.
        gradient: Gradient of the volume in training: "surrogate" or "exact".
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: The space does not hold vectors, or the kind of gradient is unknown.
    """

    exactness = Exactness.LOWER | Exactness.UPPER
    made_by = {"encoder": "encode", "decoder": "decode"}

    def __init__(
        self,
        space: Real,
        latent: int,
        encoder: Callable[..., nn.Module] | nn.Module,
        decoder: Callable[..., nn.Module] | nn.Module,
        *,
        gradient: Gradient,
        context: int | Space,
    ) -> None:
        super().__init__()
        if len(space.shape) != 1:
            raise SpecError(f"expected a space of vectors, got {space}")
        if gradient not in ("surrogate", "exact"):
            raise SpecError(f"expected gradient to be 'surrogate' or 'exact', got {gradient!r}")
        self.x_space, self.z_space = space, Real((latent,))
        self.context = context_space(context)
        size, length = space.shape[0], 0 if self.context is None else self.context.shape[0]
        self.encode = make_conditioner(encoder, size, (latent,), length)
        self.decode = make_conditioner(decoder, latent, (size,), length)
        self.gradient = gradient

    def forward_aux(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the results of `forward`, and the squared error of the reconstruction, (B,)."""
        z, dlogp = self(x, context)
        return z, dlogp, {"reconstruction": (self._decoded(z, context) - x).square().sum(1)}

    @abc.abstractmethod
    def _encoded(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return f(x)."""

    @abc.abstractmethod
    def _decoded(self, z: Tensor, context: Tensor | None) -> Tensor:
        """Return g(z)."""

    def _surrogate(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """Return zeros whose gradient is, in the mean, tr(dJ_f J_g) at x and z = f(x): that of a log-determinant."""
        v = signs(z.shape, z)
        with torch.no_grad():
            along = _along(self._decoded, z.detach(), context, v)
        term = (v * _along(self._encoded, x, context, along)).sum(1)
        return term - term.detach()


class FreeForm(EncoderDecoder):
    """Free-form layer: z = f(x) = x + encoder(x), x = g(z) = z + decoder(z), dlogp = log |det df/dx|.

    Both networks are arbitrary, so nothing makes g the inverse of f but the penalty `reconstruction`, |x - g(f(x))|^2. The
    number is therefore approximate: it is the log-density of x if f is a bijection, and samples follow it as far as g inverts
    f. In evaluation mode it takes one product with the Jacobian for each coordinate. In training the gradient of the
    log-determinant needs two products, with random signs v (Draxler et al. 2024, arXiv:2310.16624, eq. 8-9),

        d log |det J_f| = tr(dJ_f J_f^-1) = E [v^T dJ_f J_g v],    with J_g in place of the inverse of J_f.

    The value of this term is then zero.

    Args:
        space: Space of x and z, of shape (D,).
        encoder: Network of f, or a function (inputs, outputs, context=length) that returns it; an `MLP` by default.
        decoder: The same for g.
        gradient: Gradient of the log-determinant in training: "surrogate", or "exact" (one product for each coordinate).
        context: Length of the context, 0 for none; or its space.

    Raises:
        SpecError: The space does not hold vectors, or the kind of gradient is unknown.
    """

    def __init__(
        self,
        space: Real,
        encoder: Callable[..., nn.Module] | nn.Module = MLP,
        decoder: Callable[..., nn.Module] | nn.Module = MLP,
        *,
        gradient: Gradient = "surrogate",
        context: int | Space = 0,
    ) -> None:
        super().__init__(space, space.size, encoder, decoder, gradient=gradient, context=context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return f(x) and log |det df/dx|: (B, D) -> (B, D), (B,) in nats."""
        z = self._encoded(x, context)
        if self.training and self.gradient == "surrogate":
            return z, self._surrogate(x, z, context)
        return z, torch.linalg.slogdet(jacobian(self._encoded, x, context)).logabsdet

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return g(z) and log |det dg/dz|: (B, D) -> (B, D), (B,) in nats."""
        return self._decoded(z, context), torch.linalg.slogdet(jacobian(self._decoded, z, context)).logabsdet

    def _encoded(self, x: Tensor, context: Tensor | None) -> Tensor:
        code: Tensor = x + self.encode(x, context)
        return code

    def _decoded(self, z: Tensor, context: Tensor | None) -> Tensor:
        event: Tensor = z + self.decode(z, context)
        return event


Map = Callable[[Tensor, Tensor | None], Tensor]


def jacobian(run: Map, x: Tensor, context: Tensor | None) -> Tensor:
    """Return the Jacobian of a map of rows at x (B, D), transposed: (B, D, outputs)."""
    size = x.shape[1]
    directions = torch.eye(size, dtype=x.dtype, device=x.device).repeat(x.shape[0], 1)
    given = None if context is None else context.repeat_interleave(size, 0)
    return _along(run, x.repeat_interleave(size, 0), given, directions).unflatten(0, (-1, size))


def _along(run: Map, x: Tensor, context: Tensor | None, directions: Tensor) -> Tensor:
    """Return the products of the Jacobian of a map with directions (B, D), (B, outputs)."""
    moved: Tensor = torch.func.jvp(lambda y: run(y, context), (x,), (directions,))[1]
    return moved
