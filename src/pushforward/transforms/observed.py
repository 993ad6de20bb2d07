"""Invertible network of an inverse problem: it maps unknowns x to observations y and to latent variables z.

    [x, u] -> f -> [y, z, v],    z ~ N(0, 1)

u and v are paddings with noise, so that both sides have equal length (Ardizzone et al. 2019, arXiv:1808.04730, section 3). For
an observation y, draws of z give draws of x by the inverse. As the last step, the outputs become residuals,

    r = [(f_y(x) - y) / s_y, f_z(x), f_v(x) / s_v],

which the model takes for standard normal. The map from [x, u] to r is a bijection for every y, so p(x, u | y) is a density.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Chain, Flow, Identity, Real, Transform, context_space
from ..distributions import Normal
from ..errors import SpecError
from .normalise import Standardise
from .stochastic import Augment


class ObservedOutput(Transform):
    """Bijection of [x, u] whose first outputs are compared with the context: z = [(f_y - y) / s_y, f_z, f_v / s_v].

    Args:
        space: Space of x, (D,).
        network: Bijection f of vectors of a length W >= D; W - D coordinates of noise are appended to x.
        observed: Length M of the observation y, the context.
        latent: Length K of the latent variables; the other W - M - K outputs are padding.
        noise: Standard deviation s_y of the noise of an observation.
        padding: Standard deviation of the noise in the padding of both sides.

    Raises:
        SpecError: The sizes do not fit, or a standard deviation is not above 0.
    """

    scale: Tensor

    def __init__(
        self, space: Real, network: Transform, *, observed: int, latent: int, noise: float = 0.05, padding: float = 0.05
    ) -> None:
        super().__init__()
        width = network.x_space.size
        if observed < 1 or latent < 0 or width < max(space.size, observed + latent) or observed + latent < space.size:
            raise SpecError(
                f"expected observed + latent >= {space.size} and a network of at least {observed + latent} coordinates, "
                f"got observed={observed}, latent={latent} and a network of {width}"
            )
        if noise <= 0 or padding <= 0:
            raise SpecError(f"expected noise and padding > 0, got {noise} and {padding}")
        self.x_space, self.z_space, self.context = space, Real((width,)), context_space(observed)
        self.network, self.observed, self.latent, self.noise, self.padding = network, observed, latent, noise, padding
        extra = Real((width - space.size,))
        self.front: Transform = Identity(space)
        if extra.size:
            still = Standardise(extra, torch.zeros(extra.shape), torch.full(extra.shape, padding))
            self.front = Augment(space, Flow(Chain(still), Normal(extra)))
        scale = torch.ones(width)
        scale[:observed] = noise
        scale[observed + latent :] = padding
        self.register_buffer("scale", scale, persistent=False)

    def _shifted(self, like: Tensor, context: Tensor | None) -> Tensor:
        """Return [y, 0, 0], in the shape of the outputs."""
        assert context is not None  # noqa: S101
        return F.pad(context, (0, like.shape[1] - self.observed))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the residuals, and log |det| (less log q(u) of the padding)."""
        padded, first = self.front(x)
        outputs, second = self.network(padded)
        return (outputs - self._shifted(outputs, context)) / self.scale, first + second - self.scale.log().sum()

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x for residuals, and minus the contribution of `forward`."""
        padded, first = self.network.inverse(z * self.scale + self._shifted(z, context))
        x, second = self.front.inverse(padded)
        return x, first + second + self.scale.log().sum()

    def padded(self, x: Tensor) -> Tensor:
        """Return x with new noise in its padding: (B, D) -> (B, W)."""
        return self.front(x)[0]

    def outputs(self, padded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of padded unknowns: (B, W) -> f_y (B, M), f_z (B, K), f_v (B, W - M - K)."""
        y, z, v = self.network(padded)[0].tensor_split((self.observed, self.observed + self.latent), 1)
        return y, z, v

    def inputs(self, y: Tensor, z: Tensor, v: Tensor) -> Tensor:
        """Return the padded unknowns (B, W) of observations (B, M), latent variables (B, K) and padding (B, W - M - K)."""
        return self.network.inverse(torch.cat([y, z, v], 1))[0]
