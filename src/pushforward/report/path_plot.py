"""Picture of a continuous flow for the report: paths of rows from the data to the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .plots import DATA, SAMPLES, Picture, figure, picture_of, shorten

Array = np.ndarray[Any, np.dtype[Any]]
FRAMES = 5
LINES = 60


@dataclass(frozen=True)
class Paths:
    """Paths of rows through a continuous layer, in the units of that layer.

    Args:
        points: Points (T, N, D) of N paths at T equally spaced times from the data to the noise.
        names: Names of the D coordinates.
        straightness: Energy divided by squared displacement, 1 for straight paths of constant speed.
        solver: Sentence about the error that the ODE solver adds; empty if there is none to report.
    """

    points: Array
    names: Sequence[str]
    straightness: float
    solver: str = ""

    @property
    def shown(self) -> tuple[int, ...]:
        """Indices of the one or two coordinates that move most."""
        moved = np.square(self.points[-1] - self.points[0]).mean(0)
        return tuple(sorted(np.argsort(-moved, kind="stable")[:2].tolist()))


def path_plot(paths: Paths) -> Picture:
    """Return a picture of the rows at equally spaced times, and below it the paths of some rows."""
    shown, times = paths.shown, len(paths.points)
    x = paths.points[:, :, shown]
    low, high = (np.quantile(x, q, axis=(0, 1)) for q in (0.002, 0.998))
    pad = 0.06 * (high - low)
    fig, axes = figure(9.0, 6.0, 2, FRAMES, ratios=(1, 2.2))
    for i, ax in enumerate(axes[0]):
        at = round(i * (times - 1) / (FRAMES - 1))
        _place(ax, x[at], DATA)
        ax.set_title(("data", *[f"t = {k / (FRAMES - 1):g}" for k in range(1, FRAMES - 1)], "noise")[i], fontsize=9)
        _frame(ax, paths.names, shown, low - pad, high + pad)
    grid = axes[1, 0].get_gridspec()
    for ax in axes[1]:
        ax.remove()
    whole = fig.add_subplot(grid[1, :])
    whole.spines[["top", "right"]].set_visible(False)
    lines = x[:, :LINES]
    if len(shown) == 2:
        whole.plot(lines[..., 0], lines[..., 1], color="#8a8f98", lw=0.8, alpha=0.7)
        whole.plot(lines[0, :, 0], lines[0, :, 1], "o", ms=3, color=DATA, label="data")
        whole.plot(lines[-1, :, 0], lines[-1, :, 1], "o", ms=3, color=SAMPLES, label="noise")
        _frame(whole, paths.names, shown, low - pad, high + pad)
        whole.set_ylabel(shorten(paths.names[shown[1]], 20), fontsize=8.5, parse_math=False)
    else:
        whole.plot(np.linspace(0, 1, times), lines[..., 0], color=DATA, lw=0.8, alpha=0.6)
        whole.set_ylabel(shorten(paths.names[shown[0]], 20), fontsize=8.5, parse_math=False)
    whole.set_xlabel("t" if len(shown) == 1 else shorten(paths.names[shown[0]], 40), fontsize=8.5, parse_math=False)
    whole.tick_params(labelsize=7.5, length=2)
    if len(shown) == 2:
        whole.legend(frameon=False, fontsize=8, loc="upper right")
    return picture_of(fig)


def _place(ax: Any, points: Array, colour: str) -> None:
    if points.shape[1] == 2:
        ax.plot(points[:, 0], points[:, 1], ".", ms=2.2, color=colour, alpha=0.5, mew=0)
    else:
        ax.hist(points[:, 0], bins=40, color=colour, alpha=0.85)


def _frame(ax: Any, names: Sequence[str], shown: tuple[int, ...], low: Array, high: Array) -> None:
    ax.set_xlim(low[0], high[0])
    if len(shown) == 2:
        ax.set_ylim(low[1], high[1])
        # Both axes need the same scale, because angles and bends are distorted otherwise.
        ax.set_aspect("equal")
    ax.tick_params(labelsize=7, length=2)
