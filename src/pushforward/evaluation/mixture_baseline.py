"""Mixture of Gaussians and labels as a baseline, for rows with labels or missing values.

Within a component the labels are independent, but across components they are not, and they go with the numbers. A missing value
of a held-out row is left out exactly, by the marginal density of each component; training rows are filled in beforehand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..functional.mixture_em import (
    COMPONENTS,
    MixtureChoice,
    MixtureFit,
    MixtureSplit,
    best_settings,
    fit_mixture,
    held_out_scores,
    log_joint,
)
from .gaussian_baseline import folds, patterns, subsample

Array = np.ndarray[Any, np.dtype[Any]]

RIDGES = (1e-6, 1e-2, 1e-1)
CHOOSING_ROWS, MOST_ROWS = 2000, 5000
"""Numbers of rows on which the settings are chosen, and to which the mixture is fitted, at most."""


def mixture_log_prob(
    x: Array, y: Array, x_codes: Array, y_codes: Array, frequencies: Array, rng: np.random.Generator
) -> tuple[Array, str]:
    """Return the log-probability (M,) of held-out rows under a mixture of Gaussians and labels, and a note.

    The number of components and the ridge on the covariances are chosen by held-out likelihood on the training rows.

    Args:
        x: Numbers of the training rows (N, D), without missing values, standardised.
        y: Numbers of the held-out rows (M, D); NaN marks a missing value.
        x_codes: One-hot codes of the labels of the training rows, side by side, (N, L).
        y_codes: One-hot codes of the labels of the held-out rows, (M, L).
        frequencies: Smoothed frequency of each label in the training rows, (L,), positive.
        rng: Source of the folds and of the starting values.
    """
    seed = int(rng.integers(2**31))
    order = subsample(np.arange(len(x)), MOST_ROWS, rng)
    rows, codes = torch.from_numpy(x[order]), torch.from_numpy(x_codes[order])
    prior = torch.from_numpy(frequencies)

    splits = folds(min(len(order), CHOOSING_ROWS), 5, rng)
    splits = splits if len(order) <= 1000 else splits[:1]
    ridges = RIDGES if x.shape[1] else RIDGES[:1]

    parts = [MixtureSplit(rows[fit], rows[check], codes[fit], codes[check], prior) for fit, check in splits]
    score = held_out_scores(parts, seed, joint=True)
    possible = [number for number in COMPONENTS if number <= max(1, len(splits[0][0]) // 2)]
    chosen = best_settings(score, possible, ridges, MixtureChoice(1, ridges[0], -math.inf))
    generator = torch.Generator().manual_seed(seed)
    model = fit_mixture(rows, chosen.components, chosen.ridge, codes=codes, frequencies=prior, generator=generator)
    log_prob = np.empty(len(y))
    for observed, index in patterns(y):
        part = _marginal(model, torch.from_numpy(np.flatnonzero(observed)))
        numbers = torch.from_numpy(y[np.ix_(index, observed)])
        log_prob[index] = log_joint(numbers, part, torch.from_numpy(y_codes[index])).logsumexp(1).numpy()
    plural = "s" if chosen.components > 1 else ""
    return log_prob, f"{chosen.components} component{plural}, chosen on the training rows"


def _marginal(fit: MixtureFit, columns: Tensor) -> MixtureFit:
    """Return the mixture of some of the columns."""
    return fit._replace(means=fit.means[:, columns], covariances=fit.covariances[:, columns][:, :, columns])
