"""Evidence lower bound of models with latent variables, with warm-up, free bits, and several samples.

For latent variables z_1 ... z_L, each drawn by an encoder from the one before,

    log p(x) >= E log p(x|z_1) - sum_l KL_l,    KL_l = E log q(z_l|z_(l-1)) - log p(z_l|z_(l+1)),

where the prior of the last z is the model's base (Kingma, Welling 2014, arXiv:1312.6114, eq. 3). The contribution of any other
layer belongs to the density of the variable on which it acts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..core import Flow, layers_of
from ..errors import SpecError
from ..transforms import Stochastic
from .weighted_mean import weighted_mean


def bound_terms(model: Flow, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
    """Return the reconstruction term and the divergences of one draw; `log_prob` is the first minus the sum of the others.

    Args:
        model: Flow with at least one `Stochastic` layer.
        x: Events, (B, *event).
        context: Context of shape (B, *context), or None.

    Returns:
        log p(x|z_1) (B,) in nats, and log q - log p of each latent variable, (B,) each.

    Raises:
        SpecError: The model has no stochastic layer.
    """
    context = model._embedded(context)
    densities: list[Tensor] = []
    entropies: list[Tensor] = []
    # `pending` holds the log-determinants since the last stochastic layer. They belong to the density of the variable
    # that these layers map, which the next stochastic layer, or the base, models.
    pending = x.new_zeros(x.shape[0], dtype=model.dtype)
    for layer in layers_of(model.chain):
        if isinstance(layer, Stochastic):
            x, log_p, log_q = layer.terms(x, context)
            densities.append(pending + log_p)
            entropies.append(log_q)
            pending = torch.zeros_like(log_p)
        else:
            x, dlogp = layer(x, context)
            pending = pending + dlogp
    if not densities:
        raise SpecError("expected a model with a stochastic layer (an encoder and a decoder), got one without")
    densities.append(pending + model.base._log_prob(x, context))
    return densities[0], [q - p for q, p in zip(entropies, densities[1:], strict=True)]


class CodeLikelihood(nn.Module):
    """Loss of an autoencoder, -E log p(x|z) + w E |z|^2, in nats per event: codes have no prior yet.

    Args:
        model: Flow whose first layer is `Stochastic`.
        weight: Weight w of the squared codes, which keeps their scale finite.
    """

    likelihood = False
    minimises = "negative log-likelihood of pictures given their codes, nats per row"

    def __init__(self, model: Flow, *, weight: float = 1e-3) -> None:
        super().__init__()
        self.model, self.weight = model, weight

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x,) of B rows and weights (B,)."""
        first = next(layers_of(self.model.chain), None)
        if not isinstance(first, Stochastic):
            raise SpecError("expected a model whose first layer is an encoder and a decoder, got another one")
        z, log_p, _ = first.terms(batch[0])
        return weighted_mean(self.weight * z.square().flatten(1).sum(1) - log_p, weights)


class EvidenceBound(nn.Module):
    """Loss -E log p(x|z_1) + b sum_l max(f, mean KL_l), in nats per event; in evaluation mode b = 1 and f = 0.

    Args:
        model: Flow with at least one `Stochastic` layer.
        warmup: Number of training steps over which b rises from 0 to 1 (Bowman et al. 2016, arXiv:1511.06349); 0 for b = 1.
        free_bits: Constant f in nats: smaller divergences of a latent variable have no gradient (Kingma et al. 2016,
            arXiv:1606.04934, eq. 16).
        samples: Number of samples K; with K > 1 the loss is -log 1/K sum_k w_k (Burda et al. 2016, arXiv:1509.00519, eq. 8).
        together: Number of samples in memory at once; the others are computed again for the gradient.

    Raises:
        SpecError: An argument is out of range, or both free bits and several samples are requested.
    """

    likelihood = True
    seen: Tensor

    def __init__(
        self, model: Flow, *, warmup: int = 0, free_bits: float = 0.0, samples: int = 1, together: int = 16
    ) -> None:
        super().__init__()
        if warmup < 0 or free_bits < 0 or samples < 1 or together < 1:
            raise SpecError(
                "expected warmup and free_bits >= 0, samples and together >= 1, "
                f"got {warmup}, {free_bits}, {samples} and {together}"
            )
        if free_bits and samples > 1:
            raise SpecError(
                "expected free bits or several samples, got both: an importance weight has no separate divergences"
            )
        self.model, self.warmup, self.free_bits = model, warmup, free_bits
        self.samples, self.together = samples, together
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @property
    def minimises(self) -> str:
        """Name and unit of the loss, and the settings that change it in training."""
        name = (
            "negative evidence bound" if self.samples == 1 else f"importance-weighted bound of {self.samples} samples"
        )
        settings = [f"warm-up over {self.warmup} steps"] * bool(self.warmup)
        settings += [f"{self.free_bits:g} free nats"] * bool(self.free_bits)
        return ", ".join([f"{name}, nats per row", *settings])

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x,) or (x, context) of B rows and weights (B,)."""
        x, context, _ = self.model._flatten(batch[0], batch[1] if len(batch) > 1 else None)
        if not self.training:
            return -weighted_mean(self._weighted(x, context, 1.0), weights)
        if self.warmup:
            share: Tensor | float = (self.seen / self.warmup).clamp_max(1.0)
            self.seen += 1
        else:
            share = 1.0
        if self.samples > 1:
            return -weighted_mean(self._weighted(x, context, share), weights)
        reconstruction, divergences = bound_terms(self.model, x, context)
        means = [weighted_mean(d, weights) for d in divergences]
        if self.free_bits:
            # Below the limit clamp_min has no gradient, so training does not push a small divergence to zero.
            means = [m.clamp_min(self.free_bits) for m in means]
        return share * torch.stack(means).sum() - weighted_mean(reconstruction, weights)

    def _weighted(self, x: Tensor, context: Tensor | None, share: Tensor | float) -> Tensor:
        """Return log 1/K sum_k w_k for each row, computed in groups of samples."""

        def chunk(count: int) -> Tensor:
            rows = None if context is None else context.repeat(count, *[1] * (context.dim() - 1))
            reconstruction, divergences = bound_terms(self.model, x.repeat(count, *[1] * (x.dim() - 1)), rows)
            return (reconstruction - share * sum(divergences)).reshape(count, -1).logsumexp(0)

        # log sum_k w_k is the logsumexp of the groups' logsumexps. `checkpoint` computes a group again in the backward
        # pass, so only one group's activations are in memory at a time.
        counts = [min(self.together, self.samples - i) for i in range(0, self.samples, self.together)]
        if len(counts) == 1 or not torch.is_grad_enabled():
            parts = [chunk(count) for count in counts]
        else:
            parts = [checkpoint(chunk, count, use_reentrant=False) for count in counts]
        return torch.stack(parts).logsumexp(0) - math.log(self.samples)
