"""The three losses of deep density models (Rippel and Adams 2013, arXiv:1302.5125)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core import Distribution, Transform
from ..distributions import LogitBeta
from ..errors import SpecError
from ..functional.beta_moments import beta_divergence, beta_of_moments
from ..transforms import SigmoidDecoder
from .weighted_mean import weighted_mean


class DeepDensity(nn.Module):
    """Losses that train a decoder of sigmoid layers through its encoder, without its inverse or a determinant.

        w_1 sum_i KL[Beta(a_i, b_i) || Beta(a, b)] + w_2 sum_k log(s_max(W_k) / s_min(W_k)) + w_3 1/B sum_b H(t_b, t'_b)

    The encoder maps a batch x to latent variables z in (0, 1)^D. Beta(a_i, b_i) has the mean and the variance of z_i in the
    batch, and s are the singular values of each matrix of the decoder. With t = sigmoid(x) and t' = sigmoid(decoder(z)) the
    cross-entropy is H(t, t') = -sum_i [t_i log t'_i + (1 - t_i) log(1 - t'_i)].

    Args:
        model: Model with a layer `SigmoidDecoder` that has an encoder, and a base `LogitBeta`.
        divergence: Weight w_1 of the divergence of the latent marginals.
        conditioning: Weight w_2 of the logarithms of the condition numbers.
        reconstruction: Weight w_3 of the cross-entropy.

    Raises:
        SpecError: A weight is negative, or the model has no such parts.
    """

    likelihood = False
    minimises = "divergence of the latent marginals, condition numbers and cross-entropy of the reconstruction"

    def __init__(
        self,
        model: Distribution,
        *,
        divergence: float = 1.0,
        conditioning: float = 0.3,
        reconstruction: float = 10.0,
    ) -> None:
        super().__init__()
        self.weights = (divergence, conditioning, reconstruction)
        if min(self.weights) < 0:
            raise SpecError(f"expected weights >= 0, got {self.weights}")
        base = next((part for part in model.modules() if isinstance(part, LogitBeta)), None)
        decoder = next((part for part in model.modules() if isinstance(part, SigmoidDecoder)), None)
        if base is None or decoder is None or decoder.encoder is None:
            raise SpecError(
                "expected a model with a layer SigmoidDecoder that has an encoder, and a base LogitBeta, got a "
                f"{type(model).__name__} without"
            )
        self.model, self.target = model, (base.a, base.b)

    def terms(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the three losses without their weights, and the mean log-likelihood of what the layers before model.

        Args:
            batch: Events, (x,).
            weights: Weights of the rows, (B,), or None.

        Returns:
            Four scalars: the divergences, summed over latent variables; the logarithms of the condition numbers, summed over
            layers; the cross-entropy, summed over coordinates; and nats per row of the layers before the decoder, such as those
            of labels in a table.
        """
        events, context, _ = self.model._flatten(batch[0], batch[1] if len(batch) > 1 else None)
        before, given = self.model._log_prob_until(_wanted, events, context)
        if given is None:
            raise SpecError(f"expected a model with a layer SigmoidDecoder, got a {type(self.model).__name__} without")
        decoder, x, _ = given
        assert isinstance(decoder, SigmoidDecoder)  # noqa: S101
        x = x.detach()
        code = decoder.encode(x)
        divergence = beta_divergence(*beta_of_moments(code.sigmoid(), weights), *self.target).sum()
        values = [torch.linalg.svdvals(weight) for weight in decoder.weights()]
        conditioning = torch.stack([(s[0] / s[-1]).log() for s in values]).sum()
        again = decoder.inverse(code)[0]
        # -t log sigmoid(y) - (1 - t) log sigmoid(-y) = softplus(y) - t y
        entropies = (F.softplus(again) - x.sigmoid() * again).sum(1)
        return divergence, conditioning, weighted_mean(entropies, weights), weighted_mean(before, weights)

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, for a batch (x,) of B rows and weights (B,)."""
        *terms, before = self.terms(batch, weights)
        return torch.stack([w * term for w, term in zip(self.weights, terms, strict=True)]).sum() - before


def _wanted(layer: Transform) -> bool:
    return isinstance(layer, SigmoidDecoder)
