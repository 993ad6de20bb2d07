"""Simple densities of unit vectors: uniform, one von Mises-Fisher distribution, and a mixture of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core import Sphere
from ..functional.mixture_em import MixtureChoice, best_settings
from ..functional.von_mises_fisher import height_rule
from ..functional.von_mises_fisher_em import RIDGES, directional_log_joint, fit_directional
from ..tables.column_layers import OnSurface
from .baselines import BaselineScore, mean_and_error

Array = np.ndarray[Any, np.dtype[Any]]
COMPONENTS = (2, 4, 8, 16, 32, 64)
"""Numbers of components to choose from."""
LARGEST = 1e4
"""Upper bound of the concentrations."""


def sphere_of(model: nn.Module) -> Sphere | None:
    """Return the sphere on which a model of a table has its rows, or None."""
    surfaces = (part.z_space for part in model.modules() if isinstance(part, OnSurface))
    return next((space for space in surfaces if isinstance(space, Sphere)), None)


@torch.no_grad()
def directional_baselines(space: Sphere, train: Array, test: Array) -> list[BaselineScore]:
    """Return the held-out log-likelihoods of simple densities on a sphere, in nats per row and unit of area.

    The number of components of the mixture and its ridge are chosen on every fifth training row.

    Args:
        space: The sphere.
        train: Training rows (N, n), unit vectors up to rounding.
        test: Held-out rows (M, n).
    """
    x, y = (space.nearest(torch.from_numpy(np.asarray(rows, dtype=np.float64))) for rows in (train, test))
    rule = height_rule(space.size)

    def log_prob(rows: Tensor, number: int, ridge: float) -> Callable[[Tensor], Tensor]:
        fit = fit_directional(rows, number, ridge, LARGEST, torch.Generator().manual_seed(0))
        return lambda points: directional_log_joint(points, fit, rule).logsumexp(1)

    check = torch.arange(len(x)) % 5 == 4

    def score(number: int, ridge: float) -> float:
        return float(log_prob(x[~check], number, ridge)(x[check]).mean())

    usable = [number for number in COMPONENTS if 2 * number <= int((~check).sum())] if bool(check.any()) else []
    chosen = best_settings(score, usable, RIDGES, MixtureChoice(1, RIDGES[-1], -math.inf))
    uniform = torch.full((len(y),), -math.log(space.area), dtype=torch.float64)
    return [
        _scored("uniform", uniform, "on the sphere"),
        _scored("von Mises-Fisher", log_prob(x, 1, 0.0)(y), "one direction"),
        _scored(
            "von Mises-Fisher mixture",
            log_prob(x, chosen.components, chosen.ridge)(y),
            f"{chosen.components} components, ridge {chosen.ridge:g}, concentrations up to {LARGEST:g}",
        ),
    ]


def _scored(name: str, log_prob: Tensor, note: str) -> BaselineScore:
    values = log_prob.numpy()
    mean, error = mean_and_error(values)
    return BaselineScore(name, mean, error, values, note)
