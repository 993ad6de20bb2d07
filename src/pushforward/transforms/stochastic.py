"""Stochastic layers: z is drawn given x, and dlogp is one term of a lower bound on the log-likelihood.

    forward:  z ~ q(z|x),   dlogp = log p(x|z) - log q(z|x),   E_q[log p(z) + dlogp] <= log p(x)

A VAE layer draws in both directions (Kingma and Welling 2014, arXiv:1312.6114, eq. 3). Dequantisation adds noise u ~ q(u|x) in
[0, 1) to integers; its inverse is the floor, which is deterministic, so p(x|z) = 1 (Theis et al. 2016, arXiv:1511.01844,
eq. 3-5; Ho et al. 2019, arXiv:1902.00275, eq. 11). Bits may also become numbers of both signs, with noise u > 0: no wall
stands at the ends of the density then (Winkler et al. 2019, arXiv:1912.00042, section 3.4).
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from ..core import Box, Distribution, Exactness, Flow, Real, Space, Transform, context_space
from ..distributions import Normal, Uniform
from ..errors import ShapeError, SpecError
from .bounded import Probit
from .surjective import beside, require_context


class Stochastic(Transform):
    """Layer of a variational autoencoder: an encoder q(z|x) and a decoder p(x|z), any two conditional distributions.

    Args:
        encoder: Distribution on the latent space; its context is the flattened x, followed by the layer's own context.
        decoder: Distribution on the data space; its context is the flattened z, followed by the layer's own context.
        context: Length of the layer's own context, 0 for none.

    Raises:
        ShapeError: One of them does not take the flattened events of the other as context.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(self, encoder: Distribution, decoder: Distribution, *, context: int = 0) -> None:
        super().__init__()
        self.context = context_space(context)
        for part, given, name in ((encoder, decoder.space, "encoder"), (decoder, encoder.space, "decoder")):
            length = given.size + context
            if part.context is None or part.context.shape != (length,):
                raise ShapeError(f"expected the {name} to take a context of length {length}, got {part.context}")
        self.encoder, self.decoder = encoder, decoder
        self.x_space, self.z_space = decoder.space, encoder.space

    def beside(self, v: Tensor, context: Tensor | None) -> Tensor:
        """Return the flattened v followed by the layer's own context: (B, *shape) -> (B, size + length)."""
        flat = v.flatten(1).to(self.dtype)
        return flat if self.context is None or context is None else torch.cat([flat, context], 1)

    def terms(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return z drawn from the encoder, and log p(x|z) and log q(z|x), each (B,) in nats."""
        z, log_q = self.encoder._sample(x.shape[0], self.beside(x, context))
        return z, self.decoder._log_prob(x, self.beside(z, context)), log_q

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z drawn from the encoder, and log p(x|z) - log q(z|x)."""
        z, log_p, log_q = self.terms(x, context)
        return z, log_p - log_q

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x drawn from the decoder, and log q(z|x) - log p(x|z)."""
        x, log_p = self.decoder._sample(z.shape[0], self.beside(z, context))
        return x, self.encoder._log_prob(z, self.beside(x, context)) - log_p


class Augment(Transform):
    """Augmentation: random coordinates u ~ q(u|x) are appended to x in the first dimension; the inverse drops them.

        forward:  dlogp = -log q(u|x)

    (Huang, Dinh, Courville 2020, arXiv:2002.07101, eq. 3). `Slice` is the opposite: it draws in the direction of x.

    Args:
        space: Space of x, of shape (D, ...).
        noise: Distribution of u, on a space that differs from that of x in the first dimension only; its context is the
            flattened x, or none.

    Raises:
        ShapeError: The noise has another space or takes another context.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(self, space: Space, noise: Distribution) -> None:
        super().__init__()
        extra = noise.space.shape
        if not space.shape or noise.space != dataclasses.replace(space, shape=(*extra[:1], *space.shape[1:])):
            raise ShapeError(f"expected noise on a space like {space}, got {noise.space}")
        if noise.context is not None and noise.context.shape != (space.size,):
            raise ShapeError(f"expected the noise to take a context of length {space.size}, got {noise.context}")
        self.x_space, self.noise = space, noise
        self.z_space = dataclasses.replace(space, shape=(space.shape[0] + extra[0], *space.shape[1:]))

    def _given(self, x: Tensor) -> Tensor | None:
        return None if self.noise.context is None else x.flatten(1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x, u) and -log q(u|x)."""
        u, log_q = self.noise._sample(x.shape[0], self._given(x))
        return torch.cat([x, u], 1), -log_q

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and log q(u|x)."""
        x, u = z[:, : self.x_space.shape[0]], z[:, self.x_space.shape[0] :]
        return x, self.noise._log_prob(u, self._given(x))


class _Noisy(Transform):
    """Base class of layers that add noise to whole numbers; the context of the noise is x followed by the layer's context.

    Args:
        space: Space of x.
        z_space: Space of z.
        noise: Distribution of the noise u.
        support: Space on which the noise must be.
        context: Length of the layer's own context, 0 for none; or its space.
    """

    own = Exactness.NOISY | Exactness.LOWER

    def __init__(
        self, space: Space, z_space: Space, noise: Distribution, support: Space, context: int | Space = 0
    ) -> None:
        super().__init__()
        if noise.space != support:
            raise ShapeError(f"expected noise on {support}, got {noise.space}")
        self.context = context_space(context)
        require_context(noise, space, self.context, name="the noise")
        self.x_space, self.z_space, self.noise = space, z_space, noise

    def _given(self, x: Tensor, context: Tensor | None) -> Tensor | None:
        return beside(x, context if self.context is not None else None, self.noise)


class Dequantise(_Noisy):
    """Dequantisation of integers low ... high, or labels: z = (x - low + u) / K with noise u in [0, 1) and K levels.

    Args:
        space: An `Integers` space with both bounds, or `Categories`.
        noise: Distribution of u on the unit box of the same shape. Its context is none; or x followed by the layer's own
            context, which is repeated at every position of a picture; or the same, flattened. Uniform by default; a
            conditional flow gives variational dequantisation.
        context: Length of the layer's own context, 0 for none; or its space.

    Raises:
        SpecError: The integers have no bounds, or coordinates have different numbers of labels.
        ShapeError: The noise has another space or takes another context.
    """

    def __init__(self, space: Space, noise: Distribution | None = None, *, context: int | Space = 0) -> None:
        levels = set(space.counts or ())
        if space.interval is None or len(levels) != 1:
            raise SpecError(
                f"expected Integers with both bounds, or Categories with one number of classes, got {space}"
            )
        box = Box(space.shape, 0.0, 1.0)
        super().__init__(space, box, Uniform(box) if noise is None else noise, box, context)
        self.low, self.levels = int(space.interval[0]), levels.pop()

    def _volume(self) -> float:
        return self.x_space.size * math.log(self.levels)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (x - low + u) / K and -log q(u|x) - D log K."""
        u, log_q = self.noise._sample(x.shape[0], self._given(x, context))
        return (x - self.low + u) / self.levels, -log_q - self._volume()

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return floor(K z) + low and log q(u|x) + D log K."""
        y = z * self.levels
        level = y.floor().clamp(0, self.levels - 1)
        x = level + self.low
        x = x.to(self.x_space.event_dtype(z.dtype))
        return x, self.noise._log_prob(y - level, self._given(x, context)) + self._volume()


class HalfLines(_Noisy):
    """Half-infinite dequantisation of bits: z = (2 x - 1) u with noise u > 0, so that x is 1 where z is positive.

        forward:  dlogp = -log q(u|x)        inverse:  x = [z > 0], u = |z|

    Noise in [0, 1) would give the density a wall at both ends of a short interval; here each bit has half of the line
    (Winkler et al. 2019, arXiv:1912.00042, section 3.4).

    Args:
        space: `Integers` from 0 to 1.
        noise: Distribution of u on the positive half-line, Box(shape, 0, inf). Its context is as for `Dequantise`. The
            half-normal distribution by default: before a standard normal base, bits then have the probability 1/2.
        context: Length of the layer's own context, 0 for none; or its space.

    Raises:
        SpecError: The space is not that of bits.
        ShapeError: The noise has another space or takes another context.
    """

    def __init__(self, space: Space, noise: Distribution | None = None, *, context: int | Space = 0) -> None:
        if space.interval != (0, 1) or set(space.counts or ()) != {2}:
            raise SpecError(f"expected Integers from 0 to 1, got {space}")
        half, line = Box(space.shape, 0.0, math.inf), Real(space.shape)
        super().__init__(space, line, Flow(Probit(half), Normal(line)) if noise is None else noise, half, context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return (2 x - 1) u and -log q(u|x)."""
        u, log_q = self.noise._sample(x.shape[0], self._given(x, context))
        return (2 * x - 1) * u, -log_q

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return [z > 0] and log q(|z| | x)."""
        x = (z > 0).to(self.x_space.event_dtype(z.dtype))
        return x, self.noise._log_prob(z.abs(), self._given(x, context))
