"""Plots of angles and positions: circular histograms, and maps of the world that keep areas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .plots import DATA, FAINT, GREY, INK, SAMPLES, Picture, figure, picture_of, shorten

Array = np.ndarray[Any, np.dtype[Any]]

MOST_CIRCLES = 6
MOST_MAPS = 3
BARS = 24
"""Number of bars of a circular histogram."""
MARKS = 1500
"""Largest number of points on a map."""


@dataclass(frozen=True)
class AngleColumn:
    """Column of angles.

    Args:
        name: Name of the column.
        start: Start of the period.
        period: Length of the period, in the units of the column.
    """

    name: str
    start: float
    period: float


@dataclass(frozen=True)
class Curved:
    """Plots of angles and positions.

    Args:
        circles: Circular histograms; None without angles.
        maps: Maps; None without positions.
        shown: Number of angles and of positions in the plots.
        total: Number of angles and of positions in the table.
    """

    circles: Picture | None
    maps: Picture | None
    shown: tuple[int, int]
    total: tuple[int, int]


def curved_plots(
    circles: Sequence[AngleColumn],
    positions: Sequence[tuple[str, str]],
    data: Mapping[str, Array],
    samples: Mapping[str, Array],
) -> Curved | None:
    """Return the plots of angles and positions; None if there are none.

    Args:
        circles: Columns of angles that belong to no position.
        positions: Names of the latitude and the longitude of each position.
        data: Held-out values of each column.
        samples: Sampled values of each column.
    """
    if not circles and not positions:
        return None
    some, few = circles[:MOST_CIRCLES], positions[:MOST_MAPS]
    return Curved(
        circle_plot(some, data, samples) if some else None,
        map_plot(few, data, samples) if few else None,
        (len(some), len(few)),
        (len(circles), len(positions)),
    )


def circle_plot(circles: Sequence[AngleColumn], data: Mapping[str, Array], samples: Mapping[str, Array]) -> Picture:
    """Return circular histograms: the area of a bar is the share of its values, and the clock starts at the top."""
    across = min(3, len(circles))
    down = math.ceil(len(circles) / across)
    fig = _empty(3.1 * across, 3.2 * down + 0.3)
    edges = np.linspace(0, 2 * math.pi, BARS + 1)
    for i, circle in enumerate(circles):
        ax: Any = fig.add_subplot(down, across, i + 1, projection="polar")
        ax.set_theta_zero_location("N")
        ax.set_theta_direction(-1)
        for values, colour, label, filled in (
            (data[circle.name], DATA, "held-out data", True),
            (samples[circle.name], SAMPLES, "samples", False),
        ):
            turns = (np.asarray(values, dtype=np.float64) - circle.start) / circle.period
            turns = turns[np.isfinite(turns)] % 1
            shares = np.histogram(2 * math.pi * turns, edges)[0] / max(len(turns), 1)
            # The area of a sector grows with the square of its radius.
            radius = np.sqrt(shares)
            if filled:
                ax.bar(edges[:-1], radius, 2 * math.pi / BARS, align="edge", color=colour, alpha=0.55, label=label)
            else:
                outline = np.repeat(radius, 2)
                at = np.stack([edges[:-1], edges[1:]], 1).reshape(-1)
                ax.plot(
                    np.append(at, at[0] + 2 * math.pi),
                    np.append(outline, outline[0]),
                    color=colour,
                    lw=1.5,
                    label=label,
                )
        names = [f"{circle.start + circle.period * k / 8:.4g}".replace("-", "−") for k in range(8)]
        ax.set_xticks(np.arange(8) * math.pi / 4, names)
        ax.set_yticks([])
        ax.tick_params(colors=INK, labelsize=8)
        ax.grid(color=FAINT, lw=0.8)
        ax.spines["polar"].set_color(GREY)
        ax.set_title(shorten(circle.name, 36), fontsize=9.5, parse_math=False)
    fig.legend(
        *fig.axes[0].get_legend_handles_labels(), frameon=False, fontsize=8.5, loc="outside upper right", ncols=2
    )
    return picture_of(fig)


def map_plot(positions: Sequence[tuple[str, str]], data: Mapping[str, Array], samples: Mapping[str, Array]) -> Picture:
    """Return maps in Mollweide's projection, which keeps areas, with equal numbers of held-out points and samples."""
    fig = _empty(9.2, 2.75 * len(positions) + 0.2)
    for i, names in enumerate(positions):
        points = []
        for table in (data, samples):
            pair = np.stack([np.asarray(table[name], dtype=np.float64) for name in names], 1)
            points.append(pair[np.isfinite(pair).all(1)])
        most = min(MARKS, *(len(part) for part in points))
        for j, (part, colour, label) in enumerate(
            zip(points, (DATA, SAMPLES), ("held-out data", "samples"), strict=True)
        ):
            ax: Any = fig.add_subplot(len(positions), 2, 2 * i + j + 1, projection="mollweide")
            latitude, longitude = np.radians(part[:most]).T
            longitude = (longitude + math.pi) % (2 * math.pi) - math.pi
            ax.scatter(longitude, latitude, s=5, color=colour, alpha=0.5, lw=0, rasterized=True)
            ax.set_xticks(np.radians(np.arange(-120, 121, 60)))
            ax.set_yticks(np.radians(np.arange(-60, 61, 30)))
            ax.tick_params(colors=GREY, labelsize=7)
            ax.grid(color=FAINT, lw=0.8)
            ax.set_axisbelow(True)
            ax.spines["geo"].set_color(GREY)
            ax.set_title(f"{shorten(', '.join(names), 30)}: {label}", fontsize=9.5, parse_math=False)
    return picture_of(fig)


def _empty(width: float, height: float) -> Any:
    """Return a figure in the style of the report, without axes."""
    fig, axes = figure(width, height)
    axes[0, 0].remove()
    return fig
