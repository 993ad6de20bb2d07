"""Maximum likelihood, with penalties or without, and mirrored pictures for it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..core import Distribution
from ..errors import SpecError
from .naming import likelihood_name, objective_name
from .weighted_mean import weighted_mean


class NegativeLogLikelihood(nn.Module):
    """Loss = -1/B sum_b log p(x_b | c_b), in nats per event; a bound of it where the model's log-likelihood is a bound.

    Args:
        model: a `Distribution`, or any module that maps (x) or (x, context) to one log-likelihood for each row.
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
        """Batch (x,) or (x, context), B rows each, and weights (B,) -> scalar, mean nats per event."""
        return -weighted_mean(self.model(*batch), weights)


class PenalisedLikelihood(nn.Module):
    """Loss = -1/B sum_b log p(x_b | c_b) + sum_k w_k 1/B sum_b penalty_k(x_b): what layers report beside the likelihood.

    In evaluation mode it is the negative log-likelihood alone, so that validation compares likelihoods.

    Args:
        model: a `Distribution` with layers that report penalties (`Transform.forward_aux`).
        weights: of the penalties, by name; those that are not named count for nothing.

    Raises:
        SpecError: at the first batch, when the model reports no penalty of that name.
    """

    likelihood = True

    def __init__(self, model: Distribution, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.model, self.weights = model, {name: float(w) for name, w in weights.items() if w}

    @property
    def minimises(self) -> str:
        """Name and unit of the loss, and the weighted penalties."""
        penalties = " + ".join(f"{w:g} {name}" for name, w in self.weights.items())
        return likelihood_name(self.model) + (f", with the penalties {penalties}" if penalties else "")

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Batch (x,) or (x, context), B rows each, and weights (B,) -> scalar, nats per event and the penalties."""
        if not self.training or not self.weights:
            return -weighted_mean(self.model(*batch), weights)
        logp, penalties = self.model.log_prob_aux(*batch)
        for name in self.weights:
            if name not in penalties:
                raise SpecError(f"expected a model with the penalty {name!r}, got {', '.join(penalties) or 'none'}")
        terms = (w * weighted_mean(penalties[name], weights) for name, w in self.weights.items())
        return sum(terms, -weighted_mean(logp, weights))


def default_objective(model: nn.Module) -> nn.Module:
    """What `fit` minimises unless it is told otherwise: the loss of the model's spec, or the negative log-likelihood."""
    spec = getattr(model, "spec", None)
    loss = spec.loss(model) if spec is not None and isinstance(model, Distribution) else None
    return NegativeLogLikelihood(model) if loss is None else loss


class _Seeing(nn.Module):
    """An objective of batches whose first part is changed on its way in.

    Args:
        objective: what is minimised.
    """

    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.objective = objective
        self.likelihood = getattr(objective, "likelihood", False)

    @property
    def minimises(self) -> str:
        """Name and unit of the objective's loss."""
        return objective_name(self.objective)

    def _seen(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the objective's loss of the changed batch."""
        x, *rest = batch
        seen = (self._seen(x), *rest)
        return self.objective(seen) if weights is None else self.objective(seen, weights)


class Flipped(_Seeing):
    """An objective that sees pictures (B, C, H, W) mirrored left to right, each with probability 1/2, while training.

    Args:
        objective: of batches whose first part is pictures.
    """

    def _seen(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return torch.where(torch.rand(x.shape[0], 1, 1, 1, device=x.device) < 0.5, x.flip(3), x)


class Binarised(_Seeing):
    """An objective that sees grey levels in [0, 1] as bits drawn anew each time: x ~ Bernoulli(grey) ("dynamic binarisation").

    Args:
        objective: of batches whose first part is bits (Salakhutdinov, Murray 2008).
    """

    def _seen(self, x: Tensor) -> Tensor:
        return torch.bernoulli(x)
