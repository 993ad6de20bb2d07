"""Likelihood of rows of which some have no label, with a consistency loss (Izmailov et al. 2020, arXiv:1912.13025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core import Flow
from ..errors import SpecError
from .naming import likelihood_name
from .weighted_mean import weighted_mean


class SemiSupervised(nn.Module):
    """Negative log-likelihood of rows with and without labels, and of noisy copies of the rows.

        -1/B sum_b [log p(x_b | y_b) + w log p(x'_b | y''_b)],    y''_b = y_b, or argmax_y p(y | x''_b) if y_b is unknown

    Here x' and x'' are x with independent noise. A row and its noisy copy should have one class, so the boundary between
    classes avoids the data (eq. 8). In evaluation mode the loss is the negative log-likelihood.

    Args:
        model: Flow whose base has one component for each class, such as `ClassGaussians`.
        classes: Label that stands for an unknown class.
        noise: Standard deviation of the noise.
        weight: Weight w of the noisy copies.

    Raises:
        SpecError: The base has no classes.
    """

    likelihood = True

    def __init__(self, model: Flow, classes: int, *, noise: float, weight: float = 1.0) -> None:
        super().__init__()
        if not hasattr(model.base, "log_joint"):
            raise SpecError(f"expected a flow whose base has classes, got {type(model.base).__name__}")
        self.model, self.classes, self.noise, self.weight = model, classes, noise, weight

    @property
    def minimises(self) -> str:
        """Name and unit of the loss."""
        return f"{likelihood_name(self.model)}, and of noisy copies of the rows"

    def forward(self, batch: tuple[Tensor, ...], weights: Tensor | None = None) -> Tensor:
        """Return the loss in nats per event, a scalar, for a batch (x, labels) and weights (B,)."""
        x, labels = batch
        loss = -weighted_mean(self.model(x, labels), weights)
        unknown = labels == self.classes
        if not self.training or self.weight == 0:
            return loss
        with torch.no_grad():
            z = self.model.chain(x + self.noise * torch.randn_like(x), labels)[0]
            guess = self.model.base.log_joint(z).argmax(1)  # type: ignore[operator]
        copies = self.model(x + self.noise * torch.randn_like(x), torch.where(unknown, guess, labels))
        return loss - self.weight * weighted_mean(copies, weights)
