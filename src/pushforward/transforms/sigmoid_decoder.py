"""Decoder of sigmoid layers with square matrices, as a bijection of the whole space (Rippel and Adams 2013, arXiv:1302.5125).

The decoder maps latent variables z in (0, 1)^D to data by y <- sigmoid(W y + b), layer after layer. Each layer maps the cube
into a part of the cube only, so most points have no latent variables, and the density there would be zero. Here every sigmoid
has straight ends instead: outside of [-c, c] with sigmoid(c) = 1 - m it continues along its tangents. Every layer is then a
bijection of R^D, with the same values wherever the plain sigmoids stay in [m, 1 - m].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core import Chain, Inverse, Real, Transform
from ..errors import SpecError
from ..networks import MLP
from .elementwise import Elementwise
from .linear import LU
from .scalar import LineMap

GAIN = 4.0
"""Slope of each matrix at the start: sigmoids of it spread over the unit interval about as much as their inputs."""


@dataclass(frozen=True)
class ExtendedLogit(LineMap):
    """Logit with straight ends, z = logit(x) for x in [m, 1 - m] and its tangents beyond; it has no parameters.

    The slope of the ends is 1 / (m (1 - m)). The inverse is a sigmoid with straight ends.

    Args:
        margin: Number m in (0, 1/2).

    Raises:
        SpecError: The margin is out of range.
    """

    margin: float = 0.05
    n: int = 0

    def __post_init__(self) -> None:
        """Check the margin."""
        if not 0 < self.margin < 0.5:
            raise SpecError(f"expected a margin between 0 and 1/2, got {self.margin}")

    @property
    def _slope(self) -> float:
        return 1 / (self.margin * (1 - self.margin))

    def forward(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and log dz/dx."""
        inner = x.clamp(self.margin, 1 - self.margin)
        log_x, log_rest = inner.log(), torch.log1p(-inner)
        return log_x - log_rest + (x - inner) * self._slope, -log_x - log_rest

    def inverse(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dz."""
        end = math.log(1 / self.margin - 1)
        inner = z.clamp(-end, end)
        return inner.sigmoid() + (z - inner) / self._slope, F.logsigmoid(inner) + F.logsigmoid(-inner)


class SigmoidDecoder(Transform):
    """Inverse of a decoder of sigmoid layers, from data x to logits u of latent variables, with an encoder beside it.

    With s the sigmoid with straight ends the decoder is

        y_0 = s(u),    y_k = s(W_k y_(k-1) + b_k) for k < K,    x = W_K y_(K-1) + b_K,

    so sigmoid(x) is the output of K sigmoid layers. The matrices are products of triangular ones, so their determinants are
    products of diagonals. The encoder is a network from x to u that need not be one-to-one; it serves training only
    (`objectives.DeepDensity`), and has no part in either direction of the layer.

    Args:
        space: Space of x and u, of shape (D,).
        layers: Number K of matrices.
        margin: Number m of the straight ends, see `ExtendedLogit`.
        encoder: Widths of the hidden layers of the encoder; None for no encoder.
        activation: Activation function of the encoder.

    Raises:
        SpecError: Events are not vectors, or the margin is out of range.
    """

    standardises = False

    def __init__(
        self,
        space: Real,
        layers: int = 2,
        *,
        margin: float = 0.05,
        encoder: tuple[int, ...] | None = (256, 256),
        activation: str = "silu",
    ) -> None:
        super().__init__()
        if len(space.shape) != 1:
            raise SpecError(f"expected a space of vectors, got {space}")
        self.x_space = self.z_space = space
        logit = ExtendedLogit(margin)
        pairs = [(Inverse(LU(space, rotation=True)), Elementwise(logit, space)) for _ in range(layers)]
        self.inner = Chain(*(layer for pair in pairs for layer in pair))
        size = space.size
        self.encoder = None if encoder is None else MLP(size, size, hidden=encoder, activation=activation, zero=False)
        with torch.no_grad():
            for matrix in self._matrices:
                matrix.upper.mul_(GAIN)
                matrix.log_diagonal.add_(math.log(GAIN))
                self._centre(matrix, torch.zeros(size))

    @property
    def _matrices(self) -> list[LU]:
        turned = (layer.layer for layer in self.inner if isinstance(layer, Inverse))
        return [matrix for matrix in turned if isinstance(matrix, LU)][::-1]

    @staticmethod
    def _centre(matrix: LU, centre: Tensor) -> None:
        """Set the bias with which a matrix maps the middle of the cube to a point."""
        middle = torch.full_like(matrix.bias, 0.5)
        matrix.bias.add_(centre - matrix(middle[None])[0][0])

    @torch.no_grad()
    def init_from(self, x: Tensor, context: Tensor | None = None) -> None:
        """Move the middle of the last layer's input to the mean of the data."""
        self._centre(self._matrices[-1], x.mean(0))

    def weights(self) -> list[Tensor]:
        """Return the matrices W_1 ... W_K, (D, D) each."""
        eye = torch.eye(self.x_space.size, dtype=self.dtype, device=self.device)
        return [(matrix(eye)[0] - matrix.bias).mT for matrix in self._matrices]

    def encode(self, x: Tensor) -> Tensor:
        """Return what the encoder makes of data, logits of latent variables: (B, D) -> (B, D).

        Raises:
            SpecError: The layer has no encoder.
        """
        if self.encoder is None:
            raise SpecError("expected a decoder with an encoder beside it, got one without")
        # The encoder sees twice the sigmoid of x, minus one.
        return self.encoder(torch.tanh(x / 2))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits u of the latent variables that the decoder maps to x, and dlogp: (B, D) -> (B, D), (B,)."""
        return self.inner(x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what the decoder makes of logits u of latent variables, and dlogp."""
        return self.inner.inverse(z)
