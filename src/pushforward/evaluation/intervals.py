"""Calibration curve of posteriors: the share of true parameters inside central intervals of draws, and the intervals' widths.

For a level q the central interval of a parameter runs from the (1 - q) / 2 to the (1 + q) / 2 quantile of its draws. The
calibration error is the share of true parameters inside, minus q (Ardizzone et al. 2019, arXiv:1808.04730, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .calibration import Draw, sbc_ranks
from .normality import Array

NORMAL = 0.68
"""Level at which the error and the width are reported, that of one deviation of a normal distribution."""


@dataclass(frozen=True)
class IntervalCalibration:
    """Calibration curve of each parameter.

    Args:
        levels: Levels q (Q,), inside (0, 1).
        coverage: Share of true parameters inside their central intervals (Q, D).
        width: Median width (D,) of the intervals at level .68, in the units of the parameters.
        rows: Number of true parameters.
        draws: Number of draws from each posterior.
    """

    levels: Array
    coverage: Array
    width: Array
    rows: int
    draws: int

    @property
    def error(self) -> Array:
        """Calibration errors (Q, D): above 0 the posteriors are too wide, below 0 too narrow."""
        return self.coverage - self.levels[:, None]

    @property
    def median_error(self) -> float:
        """Median of the absolute errors over all levels and parameters."""
        return float(np.median(np.abs(self.error)))

    @property
    def error_68(self) -> Array:
        """Calibration error (D,) at level .68."""
        return self.error[int(np.abs(self.levels - NORMAL).argmin())]

    def __str__(self) -> str:
        signs = ", ".join(f"{100 * e:+.1f}" for e in self.error_68)
        return (
            f"Median calibration error {100 * self.median_error:.2f} % over {self.rows:,} simulations; "
            f"at level .68: {signs} %, widths {', '.join(f'{w:.3g}' for w in self.width)}."
        )


def interval_calibration(
    draw: Draw, theta: Any, x: Any, *, draws: int = 1023, levels: int = 99, seed: int = 0
) -> IntervalCalibration:
    """Return the calibration curve of posteriors.

    Args:
        draw: Function that draws from posteriors, see `sbc_ranks`.
        theta: True parameters (N, D), drawn from the prior and not used in training.
        x: Data (N, *data), simulated with each row of theta.
        draws: Number L of draws from each posterior.
        levels: Number of levels, equally spaced inside (0, 1).
        seed: Seed of the draws.

    Raises:
        DataError: There are fewer than 10 rows, or a number in the data or among the draws is not finite.
        ShapeError: The shapes do not fit, see `sbc_ranks`.
    """
    widths: list[Tensor] = []

    def measured(n: int, given: Tensor) -> Tensor:
        made = draw(n, given)
        ends = torch.tensor([(1 - NORMAL) / 2, (1 + NORMAL) / 2], dtype=made.dtype, device=made.device)
        low, high = made.quantile(ends, 0)
        widths.append(high - low)
        return made

    ranks = sbc_ranks(measured, theta, x, draws=draws, seed=seed)
    at = np.arange(1, levels + 1) / (levels + 1)
    # A rank r stands for the cell (r, r + 1) / (L + 1) of the posterior's distribution function; its midpoint is taken.
    place = np.abs(2 * (ranks.ranks + 0.5) / (draws + 1) - 1)
    coverage = (place[None] <= at[:, None, None]).mean(1)
    width = torch.cat(widths).median(0).values.double().cpu().numpy()
    return IntervalCalibration(at, coverage, width, len(ranks.ranks), draws)
