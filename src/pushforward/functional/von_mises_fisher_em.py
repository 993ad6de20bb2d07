"""Expectation-maximisation of mixtures of von Mises-Fisher distributions (Banerjee, Dhillon, Ghosh, Sra 2005)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .mixture_em import (
    MOST_ROUNDS,
    MOST_ROWS,
    NEARLY_DONE,
    STARTS,
    MixtureChoice,
    best_settings,
    start_responsibilities,
)
from .von_mises_fisher import concentration, height_rule, log_normaliser

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Ridges to choose from, in units of the mean distance of all rows from their common direction."""
FEW_COMPONENTS = 32
"""Number of components up to which several starts are tried."""


class DirectionalFit(NamedTuple):
    """Parameters of a mixture of von Mises-Fisher distributions.

    Args:
        weights: (K,) probabilities.
        means: Unit vectors (K, n).
        kappa: Concentrations (K,).
    """

    weights: Tensor
    means: Tensor
    kappa: Tensor


def fit_directional(
    x: Tensor, components: int, ridge: float, largest: float, generator: torch.Generator | None = None
) -> DirectionalFit:
    """Fit a mixture of K von Mises-Fisher distributions to unit vectors by expectation-maximisation.

    In the E step row i belongs to component k with probability r_ik. In the M step the mean direction of component k is that of
    v_k = sum_i r_ik x_i, and its concentration is the one at which the mean of the distance 1 - m.x is

        1 - |v_k| / N_k + ridge (1 - |mean of all x|),    N_k = sum_i r_ik.

    The ridge keeps a component of few rows from collapsing onto them.

    Args:
        x: Unit vectors (N, n).
        components: Number K of components.
        ridge: Distance added to that of each component, in units of the distance of all rows.
        largest: Upper bound of the concentrations.
        generator: Source of the random starting means.
    """
    x = x.double()
    rule = height_rule(x.shape[1], x.device)
    added = ridge * (1 - x.mean(0).norm())
    # Each row starts in one component: shares of distant rows would make all components wide.
    responsibilities = (start_responsibilities(x, components, generator) > 0.5).double()

    def maximised(responsibilities: Tensor) -> DirectionalFit:
        counts = responsibilities.sum(0)
        vectors = responsibilities.mT @ x
        lengths = vectors.norm(dim=1)
        means = vectors / lengths.clamp_min(1e-300)[:, None]
        distance = 1 - lengths / counts.clamp_min(1e-300) + added
        kappa = concentration(distance.clamp(1e-12, 1), rule, x.shape[1], largest)
        return DirectionalFit(counts.clamp_min(1e-9) / len(x), means, kappa)

    before = -math.inf
    for _ in range(MOST_ROUNDS):
        fit = maximised(responsibilities)
        joint = directional_log_joint(x, fit, rule)
        total = joint.logsumexp(1)
        responsibilities = (joint - total[:, None]).exp()
        now = float(total.mean())
        if now - before < NEARLY_DONE:
            break
        before = now
    return fit


def directional_log_joint(x: Tensor, fit: DirectionalFit, rule: Tensor) -> Tensor:
    """Return log w_k + log p_k(x_i), (N, K), for unit vectors x (N, n)."""
    constant = fit.weights.log() - log_normaliser(fit.kappa, rule)
    return constant - fit.kappa * (1 - x @ fit.means.mT)


def best_directional(x: Tensor, components: int, largest: float) -> DirectionalFit:
    """Return the best of several fits, with the ridge that is chosen by held-out rows.

    Args:
        x: Unit vectors (N, n).
        components: Number of components.
        largest: Upper bound of the concentrations.
    """
    x = x.double().cpu()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:MOST_ROWS]
    rows = x[order]
    check, rest = rows[::5], rows[torch.arange(len(rows)) % 5 != 0]
    rule = height_rule(x.shape[1])

    def score(number: int, ridge: float) -> float:
        fit = fit_directional(rest, number, ridge, largest, torch.Generator().manual_seed(0))
        return float(directional_log_joint(check, fit, rule).logsumexp(1).mean())

    start = MixtureChoice(components, RIDGES[-2], -math.inf)
    chosen = best_settings(score, [components], RIDGES, start) if len(rest) > components else start
    starts = STARTS if 1 < components <= FEW_COMPONENTS else 1
    fits = [
        fit_directional(x, components, chosen.ridge, largest, torch.Generator().manual_seed(i)) for i in range(starts)
    ]
    return max(fits, key=lambda fit: float(directional_log_joint(x, fit, rule).logsumexp(1).mean()))
