"""Maximum likelihood, optionally with penalties, with mirrored pictures or with binarised pictures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..core import Distribution
from ..errors import SpecError
from .naming import likelihood_name, objective_name
from .weighted_mean import weighted_mean


class NegativeLogLikelihood(nn.Module):
    """Negative log-likelihood -1/B sum_b log p(x_b | c_b) in nats per event; a bound where `log_prob` is a bound.

    Args:
        model: A `Distribution`, or any module that maps (x) or (x, context) to one log-likelihood per row.
    """

    likelihood = True
    """Whether minus the loss is a mean log-likelihood in nats per event."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def minimises(self) -> str:
        """Name and unit of the loss."""
        return likelihood_name(self.model)

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x,) or (x, context) of B rows and weights (B,)."""
        return -weighted_mean(self.model(*batch), weights)


class PenalisedLikelihood(nn.Module):
    """Penalised negative log-likelihood, -1/B sum_b log p(x_b | c_b) + sum_k w_k 1/B sum_b penalty_k(x_b).

    In evaluation mode it is the negative log-likelihood without penalties, so validation compares likelihoods.

    Args:
        model: A `Distribution` with layers that report penalties (`Transform.forward_aux`).
        weights: Weights of the penalties by name; penalties without a weight are ignored.
        always: Whether evaluation mode keeps the penalties, for a likelihood that has no optimum without them.

    Raises:
        SpecError: At the first batch: the model reports no penalty with one of these names.
    """

    def __init__(self, model: Distribution, weights: Mapping[str, float], *, always: bool = False) -> None:
        super().__init__()
        self.always, self.likelihood = always, not always
        self.model, self.weights = model, {name: float(w) for name, w in weights.items() if w}

    @property
    def minimises(self) -> str:
        """Name and unit of the loss, with the weighted penalties."""
        penalties = " + ".join(f"{w:g} {name}" for name, w in self.weights.items())
        return likelihood_name(self.model) + (f", with the penalties {penalties}" if penalties else "")

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x,) or (x, context) of B rows and weights (B,)."""
        if not (self.training or self.always) or not self.weights:
            return -weighted_mean(self.model(*batch), weights)
        logp, penalties = self.model.log_prob_aux(*batch)
        for name in self.weights:
            if name not in penalties:
                raise SpecError(f"expected a model with the penalty {name!r}, got {', '.join(penalties) or 'none'}")
        terms = (w * weighted_mean(penalties[name], weights) for name, w in self.weights.items())
        return sum(terms, -weighted_mean(logp, weights))


def default_objective(model: nn.Module) -> nn.Module:
    """Return the objective that `fit` minimises by default: the loss of the model's spec, or the negative log-likelihood."""
    # A model of a table without numbers has only the spec of its labels.
    spec = getattr(model, "spec", None) or getattr(model, "label_spec", None)
    loss = spec.loss(model) if spec is not None and isinstance(model, Distribution) else None
    return NegativeLogLikelihood(model) if loss is None else loss


class _ChangedBatches(nn.Module):
    """Objective that changes the first part of each batch before another objective receives it.

    Args:
        objective: Objective that is minimised.
    """

    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.objective = objective
        self.likelihood = getattr(objective, "likelihood", False)

    @property
    def minimises(self) -> str:
        """Name and unit of the objective's loss."""
        return objective_name(self.objective)

    def _changed(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the inner objective's loss of the changed batch."""
        x, *rest = batch
        changed = (self._changed(x), *rest)
        return self.objective(changed) if weights is None else self.objective(changed, weights)


class Flipped(_ChangedBatches):
    """Objective that mirrors pictures (B, C, H, W) left to right in training, each with probability 1/2.

    Args:
        objective: Objective of batches whose first part is pictures.
    """

    def _changed(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return torch.where(torch.rand(x.shape[0], 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)


class Binarised(_ChangedBatches):
    """Objective that replaces grey levels in [0, 1] by new random bits each time: x ~ Bernoulli(grey).

    This is called dynamic binarisation.

    Args:
        objective: Objective of batches whose first part is bits (Salakhutdinov, Murray 2008).
    """

    def _changed(self, x: Tensor) -> Tensor:
        return torch.bernoulli(x)
