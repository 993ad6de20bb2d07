"""Losses of invertible networks for inverse problems, in both directions (Ardizzone et al. 2019, arXiv:1808.04730, sec. 3.3).

For pairs (x, y), outputs [f_y, f_z, f_v] of x with padding, z ~ N(0, 1), and the inverse g of the network:

    forward fit        mean (f_y - y)^2                               the simulator is learned
    latent             MMD^2([f_y, f_z], [y, z]), f_y detached        z is normal, and independent of y
    backward           MMD^2(g(y, z), x)                              draws have the distribution of the prior
    padding            mean f_v^2 + mean g_u(y, z)^2                  nothing hides in the padding of either side
    reconstruction     mean (g(y + e, f_z + e, e) - x)^2              x comes back from its true observation

The latent loss is one of the forward direction. Without the detachment it could be lowered by changes of f_y, which the
forward fit alone should decide. All lengths are in the units of the layer's input, which are standardised in tables and
posteriors.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core import Distribution, Transform
from ..errors import SpecError
from ..functional.discrepancy import BACKWARD, FORWARD, Kernels, discrepancy
from ..transforms import ObservedOutput


@dataclass(frozen=True)
class BothWays:
    """One batch on its way through an invertible network.

    Args:
        layer: The network with its sizes.
        x: Unknowns (B, D) at the input of the layer.
        y: Observations (B, M).
        padded: Unknowns with noise in their padding (B, W).
        outputs: Outputs f_y (B, M), f_z (B, K) and f_v (B, W - M - K).
        before: Log-likelihood (B,) of the layers before, such as those of labels in a table.
    """

    layer: ObservedOutput
    x: Tensor
    y: Tensor
    padded: Tensor
    outputs: tuple[Tensor, Tensor, Tensor]
    before: Tensor

    @cached_property
    def drawn(self) -> Tensor:
        """Padded draws of the model given the observations (B, W), with noise of y, z ~ N(0, 1) and noise in the padding."""
        observed, latent = self.layer.observed, self.layer.latent
        y, z, v = torch.randn_like(self.padded).tensor_split((observed, observed + latent), 1)
        return self.layer.inputs(self.y + self.layer.noise * y, z, self.layer.padding * v)


def _wanted(layer: Transform) -> bool:
    return isinstance(layer, ObservedOutput)


def both_ways(model: Distribution, batch: tuple[Tensor, ...]) -> BothWays:
    """Return a batch (x, y), or rows of a table, with the outputs of the invertible network of a model.

    Raises:
        SpecError: The model has no layer `ObservedOutput`.
    """
    events, context, _ = model._flatten(batch[0], batch[1] if len(batch) > 1 else None)
    before, given = model._log_prob_until(_wanted, events, context)
    if given is None:
        raise SpecError(f"expected a model with a layer ObservedOutput, got a {type(model).__name__} without")
    layer, x, y = given
    assert isinstance(layer, ObservedOutput) and y is not None  # noqa: S101, PT018
    x = x.detach()
    padded = layer.padded(x)
    return BothWays(layer, x, y, padded, layer.outputs(padded), before)


class _InverseLoss(nn.Module, abc.ABC):
    """Base class of the losses; subclasses implement `term`.

    Args:
        model: Model with a layer `ObservedOutput`.
    """

    likelihood = False
    minimises: ClassVar[str]

    def __init__(self, model: Distribution) -> None:
        super().__init__()
        self.model = model

    @abc.abstractmethod
    def term(self, pair: BothWays) -> Tensor:
        """Return the loss of a batch, a scalar."""

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the loss, a scalar, for a batch (x, y)."""
        return self.term(both_ways(self.model, batch))


class ForwardFit(_InverseLoss):
    """Supervised loss mean (f_y - y)^2: the network learns the simulator.

    Args:
        model: Model with a layer `ObservedOutput`.
    """

    minimises = "squared error of the observations"

    def term(self, pair: BothWays) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return (pair.outputs[0] - pair.y).square().mean()


class LatentDiscrepancy(_InverseLoss):
    """Forward discrepancy MMD^2([f_y, f_z], [y, z]) with z ~ N(0, 1); f_y has no gradient.

    Args:
        model: Model with a layer `ObservedOutput`.
        kernels: Pairs (C, a) of the kernels (1 + d^2 / C)^-a that are summed.
    """

    minimises = "discrepancy of observations and latent variables"

    def __init__(self, model: Distribution, kernels: Kernels = FORWARD) -> None:
        super().__init__(model)
        self.kernels = kernels

    def term(self, pair: BothWays) -> Tensor:
        """Return the loss of a batch, a scalar."""
        fit, latent, _ = pair.outputs
        wanted = torch.cat([pair.y, torch.randn_like(latent)], 1)
        return discrepancy(torch.cat([fit.detach(), latent], 1), wanted, self.kernels)


class BackwardDiscrepancy(_InverseLoss):
    """Backward discrepancy MMD^2(x(y, z), x) of draws given the observations of a batch and its unknowns.

    The draws are those of the model: observations with their noise, z ~ N(0, 1) and noise in the padding.

    Args:
        model: Model with a layer `ObservedOutput`.
        kernels: Pairs (C, a) of the kernels (1 + d^2 / C)^-a that are summed.
    """

    minimises = "discrepancy of draws and unknowns"

    def __init__(self, model: Distribution, kernels: Kernels = BACKWARD) -> None:
        super().__init__(model)
        self.kernels = kernels

    def term(self, pair: BothWays) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return discrepancy(pair.drawn[:, : pair.x.shape[1]], pair.x, self.kernels)


class Padding(_InverseLoss):
    """Padding loss mean f_v^2 + mean u^2, of the outputs and of the draws of `BackwardDiscrepancy`; 0 without padding.

    The network knows observations of unknowns with small padding only. If draws had large padding, they could have any label.

    Args:
        model: Model with a layer `ObservedOutput`.
    """

    minimises = "squared padding of both sides"

    def term(self, pair: BothWays) -> Tensor:
        """Return the loss of a batch, a scalar."""
        sides = (pair.outputs[2], pair.drawn[:, pair.x.shape[1] :])
        terms = [side.square().mean() for side in sides if side.shape[1]]
        return torch.stack(terms).sum() if terms else pair.padded.new_zeros(())


class Reconstruction(_InverseLoss):
    """Reconstruction loss, mean (g(y + e, f_z + e, e) - [x, u])^2 with noise e; f_z has no gradient.

    It starts from the true observation y and new padding instead of the outputs f_y and f_v. So the inverse is learned where
    draws start, also while f_y is not accurate yet.

    Args:
        model: Model with a layer `ObservedOutput`.
        noise: Standard deviation of the noise of z.
    """

    minimises = "squared error of the reconstruction"

    def __init__(self, model: Distribution, noise: float = 0.05) -> None:
        super().__init__(model)
        self.noise = noise

    def term(self, pair: BothWays) -> Tensor:
        """Return the loss of a batch, a scalar."""
        _, z, v = pair.outputs
        y = pair.y + pair.layer.noise * torch.randn_like(pair.y)
        z = z.detach() + self.noise * torch.randn_like(z)
        drawn = pair.layer.inputs(y, z, pair.layer.padding * torch.randn_like(v))
        return (drawn - pair.padded).square().mean()


class InverseProblem(_InverseLoss):
    """Weighted sum of the five losses, of one pass in each direction; the weight of the backward one rises first.

        weight(t) = weight min(1, 2 0.002^(1 - t / ramp))    in training step t

    Args:
        model: Model with a layer `ObservedOutput`.
        fit: Weight of the forward fit.
        latent: Weight of the forward discrepancy.
        backward: Weight of the backward discrepancy.
        padding: Weight of the padding loss.
        reconstruction: Weight of the reconstruction.
        ramp: Number of training steps over which the weight of the backward discrepancy rises; 0 for none.

    Raises:
        SpecError: A weight or the ramp is negative.
    """

    minimises = "forward fit, discrepancies in both directions and reconstruction"
    seen: Tensor

    def __init__(
        self,
        model: Distribution,
        *,
        fit: float = 3.0,
        latent: float = 300.0,
        backward: float = 400.0,
        padding: float = 30.0,
        reconstruction: float = 3.0,
        ramp: int = 0,
    ) -> None:
        super().__init__(model)
        if min(fit, latent, backward, padding, reconstruction, ramp) < 0:
            raise SpecError("expected weights and a ramp >= 0, got a negative one")
        self.weights, self.ramp = (fit, latent, backward, padding, reconstruction), ramp
        self.parts = (
            ForwardFit(model),
            LatentDiscrepancy(model),
            BackwardDiscrepancy(model),
            Padding(model),
            Reconstruction(model),
        )
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def share(self) -> Tensor:
        """Return the share of the backward weight that is reached, a scalar in (0, 1]."""
        if not self.ramp or not self.training:
            return torch.ones((), device=self.seen.device)
        return (2 * 0.002 ** (1 - self.seen / self.ramp)).clamp_max(1.0)

    def term(self, pair: BothWays) -> Tensor:
        """Return the loss of a batch, a scalar; in training it counts as a step of the ramp."""
        shares: tuple[float | Tensor, ...] = (1.0, 1.0, self.share(), 1.0, 1.0)
        if self.training:
            self.seen += 1
        terms = [
            weight * share * part.term(pair)
            for weight, share, part in zip(self.weights, shares, self.parts, strict=True)
            if weight
        ]
        return torch.stack(terms).sum() - pair.before.mean() if terms else -pair.before.mean()
