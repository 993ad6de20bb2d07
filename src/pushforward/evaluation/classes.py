"""Classes of rows by Bayes' rule, and how well their probabilities are calibrated."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core import Flow
from ..distributions import ClassGaussians
from ..errors import DataError, SpecError

WIDENINGS = torch.linspace(-2.0, 8.0, 201, dtype=torch.float64)
"""Logarithms of the factors of the variances that calibration tries."""
BINS = 10


@torch.no_grad()
def class_log_probs(model: Flow, x: Tensor) -> Tensor:
    """Return log p(y | x) = log w_y + log p(x | y) - log p(x) of every class: x (B, *shape) -> (B, K), in nats.

    Args:
        model: Flow in front of `ClassGaussians`, such as the system `flowgmm` builds.
        x: Rows.

    Raises:
        SpecError: The model has no classes.
    """
    return _base(model).log_posterior(codes(model, x))


@torch.no_grad()
def calibrate_classes(model: Flow, x: Tensor, labels: Tensor) -> float:
    """Widen the variances of the classes so that held-out labels are most likely, and return the factor.

    One factor for all classes is chosen by the mean of log p(y | x) over held-out rows; it changes the probabilities of classes
    and not the density (Izmailov et al. 2020, section 4.3).

    Args:
        model: Flow in front of `ClassGaussians`; its base is changed.
        x: Held-out rows (B, *shape).
        labels: Their labels (B,); those that stand for an unknown class are left out.

    Raises:
        DataError: No row has a label.
    """
    base = _base(model)
    known = labels < base.classes
    if not bool(known.any()):
        raise DataError("expected held-out rows with labels, got none")
    z, labels = codes(model, x[known]), labels[known]
    scores = []
    for widening in WIDENINGS:
        posterior = base.log_joint(z, float(widening)).log_softmax(1)
        scores.append(float(posterior.gather(1, labels[:, None]).mean()))
    # Equal scores, as of rows that are all certain, keep the variances as they are.
    best = max(range(len(scores)), key=lambda i: (round(scores[i], 6), -abs(float(WIDENINGS[i]))))
    base.widening.fill_(float(WIDENINGS[best]))
    return float(WIDENINGS[best].exp())


def calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy over ten equal bins of confidence.

    Args:
        probabilities: Probabilities of the classes, (B, K).
        labels: Labels (B,).
    """
    confidence, guess = probabilities.max(1)
    right = (guess == labels).double()
    bins = (confidence.double() * BINS).long().clamp_max(BINS - 1)
    count, hit, trust = (torch.zeros(BINS, dtype=torch.float64) for _ in range(3))
    count.index_add_(0, bins, torch.ones_like(right))
    hit.index_add_(0, bins, right)
    trust.index_add_(0, bins, confidence.double())
    return float((hit - trust).abs().sum() / len(labels))


def codes(model: Flow, x: Tensor) -> Tensor:
    """Return the latent codes (B, D) of rows; they do not depend on the label."""
    return model.encode(x, torch.full((len(x),), _base(model).classes, device=x.device))


def _base(model: Flow) -> ClassGaussians:
    base = getattr(model, "base", None)
    if not isinstance(base, ClassGaussians):
        raise SpecError(
            "expected a flow whose base has one Gaussian for each class, such as of the system 'flowgmm', got another"
        )
    return base
