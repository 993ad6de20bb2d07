"""Training of discrete flows by exact expectations over the choices of their layers, without straight-through gradients.

Each layer takes the likeliest of its choices, such as a shift m with logits l_m(x). With t_i the frequencies of the labels that
the layer has made at place i, the loss of a layer is

    sum_i [ a (-log P(z_i = 0)) + (1 - a) (E[-log t_i(z_i)] - H) ]

where P and E are over choices from the softmaxes, and H is their entropy. The first term is the likelihood of a random choice
on a base that is certain of 0: the network learns to predict the label. The second one is smallest for P(m) proportional to exp
E log t(m + x), so the choice that the layer takes has the largest expected log-likelihood, and the softmax never becomes surer
than the data are. The weight a falls from 1 to 0 in the first steps; without them, nothing would say where labels that are
equally frequent should go.

Layers see the labels that the layers before them make, and the base learns by the likelihood of the labels that come out at the
end. No gradient passes from one layer to another. So all layers learn at the same time, each as if it were the last one before
independent labels. A base of independent labels takes over the running frequencies of these labels after the warm-up, and once
more after as many steps: steps of Adam are too short for the way from the frequencies of the data to those of the last labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Distribution, Flow, Transform, layers_of
from ..distributions import Categorical
from ..errors import SpecError
from ..functional.bounds import sum_events
from ..transforms import Autoregressive, Coupling, LabelMap
from .naming import likelihood_name
from .weighted_mean import weighted_mean

RATE = 0.02
"""Weight of a batch in the running frequencies of labels."""
PREFERENCE = 0.05
"""Frequency that is added to label 0, so that uniform labels are no fixed point."""
FLOOR = 1e-4
"""Frequency that is added to every label."""


class ExpectedChoices(nn.Module):
    """Negative log-likelihood, with the expected costs of the choices of all discrete layers, in nats per event.

    In evaluation mode it is the negative log-likelihood.

    Args:
        model: Flow of one-hot labels with layers of a `LabelMap`, or a model of a table of labels around it.
        warmup: Number of steps in which the weight of -log P(z = 0) falls from 1 to 0; 0 for none.

    Raises:
        SpecError: The model has no such layer, or the number of steps is negative.
    """

    likelihood = True
    seen: Tensor
    last: Tensor

    def __init__(self, model: Distribution, *, warmup: int = 300) -> None:
        super().__init__()
        if warmup < 0:
            raise SpecError(f"expected warmup >= 0, got {warmup}")
        flows = [part for part in model.modules() if isinstance(part, Flow)]
        flow = next((f for f in flows if any(_chooses(layer) for layer in layers_of(f.chain))), None)
        if flow is None:
            raise SpecError(f"expected a model with layers of a LabelMap, got {type(model).__name__} without")
        self.model, self.warmup = model, warmup
        # The flow is a part of the model, which is registered once.
        self._flow: list[Flow] = [flow]
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        for i, layer in enumerate(layers_of(flow.chain)):
            if (scalar := label_map(layer)) is not None:
                start = torch.zeros(_mapped(layer), scalar.width)
                start[:, 0] = 1
                self.register_buffer(f"frequencies_{i}", start)
        self.register_buffer("last", torch.ones(flow.base.space.shape))

    @property
    def minimises(self) -> str:
        """Name and unit of the loss."""
        return f"{likelihood_name(self.model)}, with expected costs of the choices"

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x,) or (x, context) of B rows and weights (B,)."""
        if not self.training:
            return -weighted_mean(self.model(*batch), weights)
        events, context, _ = self.model._flatten(batch[0], batch[1] if len(batch) > 1 else None)
        before, given = self.model._log_prob_until(_chooses, events, context)
        if given is None:
            raise SpecError(f"expected a model that scores labels by a flow, got {type(self.model).__name__}")
        first, x, context = given
        share = 0.0 if not self.warmup else (1 - self.seen / self.warmup).clamp_min(0.0)
        self.seen += 1
        (flow,) = self._flow
        cost, started = torch.zeros_like(before), False
        for i, layer in enumerate(layers_of(flow.chain)):
            started = started or layer is first
            if not started:
                continue
            if isinstance(layer, (Autoregressive, Coupling)) and (scalar := label_map(layer)) is not None:
                x, own = self._cost(i, layer, scalar, x, context, share, weights)
                cost = cost + own
            else:
                x = layer(x, context)[0]
        self._follow(flow.base, x, weights)
        return weighted_mean(cost - before - flow.base._log_prob(x, context), weights)

    def _follow(self, base: Distribution, z: Tensor, weights: Tensor | None) -> None:
        """Count the last labels, and set a base of independent labels to their frequencies where it is due."""
        if not isinstance(base, Categorical) or self.seen > 2 * self.warmup:
            return
        self.last.lerp_(_shares(z.detach(), weights).to(self.last.dtype), RATE)
        if self.seen in (self.warmup, 2 * self.warmup):
            base.logits.data.copy_((self.last + FLOOR).log())

    def _cost(
        self,
        i: int,
        layer: Autoregressive | Coupling,
        scalar: LabelMap,
        x: Tensor,
        context: Tensor | None,
        share: Tensor | float,
        weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the labels that a layer makes, without gradients, and the costs of its choices (B,)."""
        b, p = layer.mapped(x, context)
        with torch.no_grad():
            made = scalar.forward(b, p)[0]
        frequencies = getattr(self, f"frequencies_{i}")
        frequencies.lerp_(_shares(made, weights).to(frequencies.dtype), RATE)
        target = frequencies + FLOOR
        target[:, 0] += PREFERENCE
        log_target = (target / target.sum(1, keepdim=True)).log().to(p.dtype)
        cost = (1 - share) * scalar.expected_cost(b, p, log_target) + share * scalar.cost_of_zero(b, p)
        return layer.replaced(x, made), sum_events(cost)


def label_map(layer: nn.Module) -> LabelMap | None:
    """Return the map of labels that a coupling or autoregressive layer applies, or None."""
    scalar = layer.scalar if isinstance(layer, (Autoregressive, Coupling)) else None
    return scalar if isinstance(scalar, LabelMap) else None


def _chooses(layer: nn.Module) -> bool:
    return label_map(layer) is not None


def _shares(codes: Tensor, weights: Tensor | None) -> Tensor:
    """Return the shares of the labels of a batch, whose weights have mean one: (B, D, K) -> (D, K)."""
    return (codes if weights is None else codes * weights[:, None, None]).mean(0)


def _mapped(layer: Transform) -> int:
    """Return the number of labels that a layer maps."""
    return len(layer.halves.mapped) if isinstance(layer, Coupling) else layer.x_space.shape[0]
