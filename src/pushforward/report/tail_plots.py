"""Tails of heavy-tailed columns: survival functions on two logarithmic axes, and Hill estimates of data and samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..functional.pareto_tails import HillEstimate, hill, tail_fit
from .plots import DATA, INK, SAMPLES, Picture, figure, picture_of, shorten
from .words import between, number

Array = np.ndarray[Any, np.dtype[Any]]

FEWEST_ROWS = 200
"""Smallest number of held-out rows from which a tail is called heavy."""
HEAVY = 0.15
"""Smallest tail index of a heavy tail."""
MOST_TAILS = 6


@dataclass(frozen=True)
class Tails:
    """Plots of heavy tails.

    Args:
        picture: Survival functions of data and samples.
        rows: Rows of the table of Hill estimates.
        shown: Number of tails in the plots.
        total: Number of heavy tails in the table.
    """

    picture: Picture
    rows: list[dict[str, str]]
    shown: int
    total: int


def tails(kinds: Mapping[str, str], data: Mapping[str, Array], samples: Mapping[str, Array]) -> Tails | None:
    """Return the plots of the columns whose held-out values have a heavy tail; None if there are none.

    Args:
        kinds: Kind of each column, by name.
        data: Held-out values of each column.
        samples: Sampled values of each column.
    """
    found = []
    for name, kind in kinds.items():
        if kind != "continuous":
            continue
        for side, label in ((1.0, "upper"), (-1.0, "lower")):
            pair = [side * np.asarray(part[name], dtype=np.float64) for part in (data, samples)]
            values, drawn = (part[np.isfinite(part)] for part in pair)
            if len(values) < FEWEST_ROWS or len(drawn) < FEWEST_ROWS:
                continue
            fit = tail_fit(torch.from_numpy(values))
            own = hill(torch.from_numpy(values))
            if fit.heavy and fit.index > HEAVY and math.isfinite(own.index):
                found.append((name, label, values, drawn, own, hill(torch.from_numpy(drawn))))
    if not found:
        return None
    shown = found[:MOST_TAILS]
    columns = min(3, len(shown))
    fig, axes = figure(2.6 * columns, 2.4 * math.ceil(len(shown) / columns), math.ceil(len(shown) / columns), columns)
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    for ax, (name, label, values, drawn, _, _) in zip(axes.flat, shown, strict=False):
        for part, colour in ((values, DATA), (drawn, SAMPLES)):
            ordered = np.sort(part)
            share = 1 - np.arange(len(ordered)) / len(ordered)
            # The lower half would fill the plot without showing the tail.
            keep = (ordered > 0) & (share <= 0.5)
            ax.plot(ordered[keep], share[keep], color=colour, lw=1.4)
        ax.set_xscale("log")
        ax.set_yscale("log")
        sign = "" if label == "upper" else "−"
        ax.set_xlabel(sign + shorten(name, 24), parse_math=False)
        ax.set_ylabel("share of larger values", color=INK)
    rows = [
        {"name": name, "side": label, "data": _words(own), "samples": _words(other)}
        for name, label, _, _, own, other in found
    ]
    return Tails(picture_of(fig), rows, len(shown), len(found))


def _words(estimate: HillEstimate) -> str:
    """Return an estimate with its error and its number of order statistics."""
    if not math.isfinite(estimate.index):
        return "–"
    return f"{between(number(estimate.index, 2), number(estimate.error, 2))} (k\u00a0=\u00a0{estimate.used:,})"
