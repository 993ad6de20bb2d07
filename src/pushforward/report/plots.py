"""Plots of the report as PNG pictures, made with the objects of matplotlib (pyplot would change global state)."""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..evaluation import LatentNormality

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, np.dtype[Any]]

# Two colours of the palette of Okabe and Ito, which people with any colour vision can tell apart.
DATA, SAMPLES = "#0072B2", "#D55E00"
INK, GREY, FAINT = "#222222", "#8a8f98", "#e3e6ea"
_DPI = 180
_POINTS = 1200


@dataclass(frozen=True)
class Picture:
    """PNG picture inside an HTML page.

    Args:
        source: Picture as a data URI.
        width: Width at which the picture is shown, in CSS pixels.
    """

    source: str
    width: int


def score_plot(names: Sequence[str], means: Array, errors: Array) -> Picture:
    """Return a plot of held-out log-likelihoods with two standard errors on either side; the first is that of the model."""
    fig, axes = figure(7.2, 0.62 + 0.34 * len(names))
    ax = axes[0, 0]
    finite = np.isfinite(means)
    gaps = np.where(finite, np.max(means, where=finite, initial=-math.inf) - np.where(finite, means, 0.0), math.inf)
    # A density that is far behind would squeeze the others together, so it is written at the edge of the plot instead: if it is
    # more than six times the median gap behind the best.
    behind = gaps[np.isfinite(gaps) & (gaps > 0)]
    reach = 6 * float(np.median(behind)) if len(behind) else math.inf
    shown = finite & (gaps <= reach)
    errors = np.where(np.isfinite(errors), errors, 0.0)
    for i in range(len(names)):
        colour = DATA if i == 0 else INK
        if shown[i]:
            ax.errorbar(means[i], i, xerr=2 * errors[i], fmt="o", ms=6, color=colour, capsize=0, lw=1.6)
        elif not math.isnan(means[i]):
            ax.annotate(
                f"◂ {means[i]:.3g}", (0, i), xycoords=("axes fraction", "data"), va="center", color=GREY, fontsize=8
            )
    if shown[0]:
        ax.axvline(means[0], color=DATA, lw=0.8, alpha=0.4, zorder=0)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), [shorten(name, 40) for name in names], parse_math=False)
    ax.tick_params(axis="y", length=0, labelsize=9)
    ax.set_xlabel("held-out log-likelihood, nats per row (right is better), ± 2 standard errors")
    ax.grid(axis="x", color=FAINT, lw=0.8)
    ax.spines["left"].set_visible(False)
    return picture_of(fig)


def training_plot(
    history: Sequence[Mapping[str, Any]], best_epoch: int | None, unit: str = "nats per row"
) -> Picture | None:
    """Return a plot of the mean log-likelihood, or of minus another loss, by epoch, on training and validation rows.

    The result is None if the history has no finite numbers.
    """
    epochs = np.array([record.get("epoch", i + 1) for i, record in enumerate(history)], dtype=np.float64)
    curves = {}
    for key, label, colour in (("train", "training", GREY), ("validation", "validation", DATA)):
        values = np.array([_number(record.get(key)) for record in history], dtype=np.float64)
        if np.isfinite(values).any():
            curves[label] = (values, colour)
    if not curves:
        return None
    fig, axes = figure(7.2, 2.9)
    ax = axes[0, 0]
    marker = "o" if len(epochs) < 3 else None
    for label, (values, colour) in curves.items():
        ax.plot(epochs, values, color=colour, lw=1.6, label=label, marker=marker)
    every = np.concatenate([values[np.isfinite(values)] for values, _ in curves.values()])
    # The first epochs are far below the rest. The lowest 5 % are cut off, because they would flatten the curve.
    low = float(np.quantile(every, 0.05)) if len(epochs) > 20 else float(every.min())
    high = float(every.max())
    pad = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - pad, high + pad)
    if best_epoch is not None and len(epochs) and epochs.min() <= best_epoch <= epochs.max():
        ax.axvline(best_epoch, color=SAMPLES, lw=1, ls=(0, (4, 3)), label=f"kept: epoch {best_epoch}")
    ax.set_xlabel("epoch")
    ax.set_ylabel(unit)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(axis="y", color=FAINT, lw=0.8)
    fig.legend(frameon=False, fontsize=8.5, loc="outside upper right", ncols=3)
    return picture_of(fig)


@dataclass(frozen=True)
class PairColumn:
    """Numeric column of the pair plot.

    Args:
        name: Name of the column.
        data: Values (N,) in the data; NaN marks a missing value.
        samples: Values (M,) in the samples.
        integer: Whether the values are whole numbers.
    """

    name: str
    data: Array
    samples: Array
    integer: bool


def pair_plot(columns: Sequence[PairColumn]) -> tuple[Picture, int]:
    """Plot pairs of columns: scatter plots below the diagonal, histograms on it, rank correlations above it.

    Returns:
        The picture, and the number of samples outside the frames of the plot.
    """
    k = len(columns)
    side = 4.4 if k == 1 else min(9.2, 2.1 * k)
    fig, axes = figure(side, side if k > 1 else 3.2, k, k, constrained=False)
    # The margins are fixed in inches, so that labels fit for every number of columns.
    left, bottom = 0.62 / side, 0.55 / side
    fig.subplots_adjust(left, bottom, 1 - 0.06 / side, 1 - 0.34 / side, 0.08, 0.08)
    frames = [_frame(column) for column in columns]
    rng = np.random.default_rng(0)
    size = min(len(columns[0].data), len(columns[0].samples), _POINTS)
    rows = [rng.permutation(len(group))[:size] for group in (columns[0].data, columns[0].samples)]
    order = rng.permutation(2 * size)
    colours = np.repeat([DATA, SAMPLES], size)[order]
    for i, below in enumerate(columns):
        for j, across in enumerate(columns):
            ax = axes[i, j]
            ax.tick_params(labelsize=7, length=2, pad=2)
            if i == j:
                _histogram(ax, below, frames[i])
            elif i > j:
                both = [np.concatenate([c.data[rows[0]], c.samples[rows[1]]])[order] for c in (across, below)]
                # Data and samples are drawn in random order, so that neither hides the other.
                dot = float(np.clip(4000 / size, 2.5, 14))
                ax.scatter(both[0], both[1], s=dot, c=colours, alpha=0.55, linewidths=0)
                ax.set_ylim(frames[i])
            else:
                _correlations(ax, below, across, max(9.0, 13 - 0.7 * k))
                continue
            ax.set_xlim(frames[j])
            _ticks(ax, bottom=i == k - 1, left=j == 0 and i > 0)
            if i == k - 1:
                ax.set_xlabel(shorten(across.name, 20), fontsize=8.5, parse_math=False)
            if j == 0 and k > 1:
                ax.set_ylabel(shorten(below.name, 20), fontsize=8.5, parse_math=False)
    for row in axes:
        row[0].yaxis.set_label_coords(-0.46 * k / side, 0.5)
    _legend(fig, 1 - 0.02 / side)
    outside = np.zeros(len(columns[0].samples), dtype=bool)
    for column, (low, high) in zip(columns, frames, strict=True):
        outside |= (column.samples < low) | (column.samples > high)
    return picture_of(fig), int(outside.sum())


@dataclass(frozen=True)
class LabelColumn:
    """Frequencies of the labels of one column, most frequent first.

    Args:
        name: Name of the column.
        labels: The labels.
        data: Frequency of each label in the data.
        samples: Frequency of each label in the samples.
        rows: Number of rows of the data.
    """

    name: str
    labels: Sequence[str]
    data: Array
    samples: Array
    rows: int


def label_plot(columns: Sequence[LabelColumn]) -> Picture:
    """Return a bar plot of label frequencies in data and samples; whiskers are two standard errors of those in the data."""
    across = min(2, len(columns))
    down = math.ceil(len(columns) / across)
    tallest = max(len(column.labels) for column in columns)
    fig, axes = figure(4.4 * across, down * (0.75 + 0.34 * tallest) + 0.3, down, across)
    for ax, column in zip(axes.flat, columns, strict=False):
        at = np.arange(len(column.labels))
        error = 2 * np.sqrt(column.data * (1 - column.data) / max(column.rows, 1))
        whiskers = {"ecolor": INK, "elinewidth": 0.9}
        ax.barh(at - 0.19, column.data, 0.36, color=DATA, xerr=error, error_kw=whiskers, label="held-out data")
        ax.barh(at + 0.19, column.samples, 0.36, color=SAMPLES, label="samples")
        ax.set_yticks(at, [shorten(label, 24) for label in column.labels], parse_math=False)
        ax.set_ylim(tallest - 0.5, -0.5)
        ax.set_xlim(0, None)
        ax.tick_params(axis="y", length=0)
        ax.set_title(shorten(column.name, 36), fontsize=9.5, loc="left", parse_math=False)
        ax.grid(axis="x", color=FAINT, lw=0.8)
        ax.set_axisbelow(True)
        ax.spines["left"].set_visible(False)
    for ax in axes.flat[len(columns) :]:
        ax.set_visible(False)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, fontsize=8.5, loc="outside upper right", ncols=2)
    return picture_of(fig)


def qq_plot(normality: LatentNormality, dimensions: Sequence[int]) -> Picture:
    """Return a plot of the quantiles of latent dimensions against standard normal ones, with a pointwise 95 % band."""
    across = min(4, len(dimensions))
    down = math.ceil(len(dimensions) / across)
    fig, axes = figure(2.15 * across + 0.3, 2.1 * down + 0.3, down, across)
    limit = float(np.abs(normality.quantiles).max()) * 1.25
    for index, (ax, dimension) in enumerate(zip(axes.flat, dimensions, strict=False)):
        q = normality.quantiles
        ax.fill_between(q, q - normality.band, q + normality.band, color=FAINT, lw=0)
        ax.plot([-limit, limit], [-limit, limit], color=GREY, lw=0.8)
        ax.plot(q, np.clip(normality.sample_quantiles[:, dimension], -limit, limit), ".", ms=3, color=DATA)
        ax.set_xlim(-limit, limit)
        ax.set_ylim(-limit, limit)
        ax.set_title(f"z{dimension + 1}   KS {normality.ks[dimension]:.3f}", fontsize=8.5)
        ax.set_xticks([-2, 0, 2])
        ax.set_yticks([-2, 0, 2])
        ax.tick_params(labelsize=7.5, length=2)
        if index >= len(dimensions) - across:
            ax.set_xlabel("normal quantile", fontsize=8)
        if index % across == 0:
            ax.set_ylabel("latent quantile", fontsize=8)
    for ax in axes.flat[len(dimensions) :]:
        ax.set_visible(False)
    return picture_of(fig)


def log_prob_plot(log_prob: Array, marked: Array, noun: str = "row") -> Picture | None:
    """Return a histogram of held-out log-likelihoods, with the least likely ones as ticks below it.

    The result is None if no log-likelihood is finite.

    Args:
        log_prob: Log-likelihoods (N,) in nats.
        marked: Log-likelihoods of the least likely events.
        noun: Name of one event, such as "row" or "picture".
    """
    finite = log_prob[np.isfinite(log_prob)]
    if len(finite) == 0:
        return None
    fig, axes = figure(7.2, 1.9)
    ax = axes[0, 0]
    quarter, middle, three = np.quantile(finite, [0.25, 0.5, 0.75])
    low = max(float(finite.min()), float(middle - 12 * (three - quarter)))
    high = float(finite.max())
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    bins = int(np.clip(2 * math.sqrt(len(finite)), 10, 60))
    counts, _, _ = ax.hist(finite, bins=bins, range=(low, high), color=DATA, alpha=0.85)
    ticks = np.clip(marked[np.isfinite(marked)], low, high)
    ax.plot(ticks, np.full(len(ticks), -0.05 * counts.max()), "|", color=SAMPLES, ms=8, mew=1.3)
    ax.set_ylim(-0.1 * counts.max(), None)
    ax.set_xlabel(f"log-likelihood of a held-out {noun}, nats")
    ax.set_ylabel(f"{noun}s")
    ax.yaxis.get_major_locator().set_params(integer=True, nbins=4)
    return picture_of(fig)


def shorten(text: str, length: int) -> str:
    """Return the text on one line, with an ellipsis in its middle if it has more characters than `length`."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    head = length * 2 // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"


def spearman(x: Array, y: Array) -> float:
    """Return Spearman's rank correlation over the rows that have both values; NaN if it is not defined.

    Equal values have the mean of their ranks.
    """
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 3:
        return math.nan
    a, b = _ranks(x[both]), _ranks(y[both])
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 0 else math.nan


def _ranks(x: Array) -> Array:
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def figure(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    constrained: bool = True,
    ratios: Sequence[float] | None = None,
) -> tuple[Figure, Array]:
    """Return an empty figure in the style of the report, and its axes (rows, columns).

    Args:
        width: Width in inches.
        height: Height in inches.
        rows: Number of rows of axes.
        columns: Number of columns of axes.
        constrained: Whether matplotlib arranges axes and labels so that nothing overlaps.
        ratios: Relative heights of the rows; equal by default.

    Raises:
        DataError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise DataError("the report needs matplotlib: pip install 'pushforward[plot]'") from None
    fig = Figure(figsize=(width, height), dpi=_DPI, layout="constrained" if constrained else None, facecolor="white")
    FigureCanvasAgg(fig)
    axes = fig.subplots(rows, columns, squeeze=False, height_ratios=ratios)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GREY)
        ax.tick_params(colors=INK, labelsize=8.5)
        ax.xaxis.label.set(color=INK, fontsize=9)
        ax.yaxis.label.set(color=INK, fontsize=9)
    return fig, axes


def picture_of(fig: Figure) -> Picture:
    """Return the figure as a PNG picture with 256 colours."""
    from PIL import Image

    canvas: Any = fig.canvas
    with warnings.catch_warnings():
        # A letter that the font does not have is drawn as a box, so the warning is not needed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas.draw()
    small = io.BytesIO()
    # 256 colours are enough for plots, and make the file about three times smaller.
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    encoded = base64.b64encode(small.getvalue()).decode("ascii")
    return Picture(f"data:image/png;base64,{encoded}", round(float(fig.get_size_inches()[0]) * 100))


def _frame(column: PairColumn) -> tuple[float, float]:
    """Return the limits of the axis for a column; if extreme values would hide the rest, they are left out."""
    data = column.data[np.isfinite(column.data)]
    data = data if len(data) else column.samples[np.isfinite(column.samples)]
    if len(data) == 0:
        return -1.0, 1.0
    low, high = float(data.min()), float(data.max())
    inner = np.quantile(data, [0.01, 0.99])
    if high - low > 6 * (inner[1] - inner[0]) > 0:
        low, high = float(inner[0]), float(inner[1])
    pad = 0.08 * (high - low) or max(abs(low) * 0.1, 0.5)
    return low - pad, high + pad


def _histogram(ax: Axes, column: PairColumn, frame: tuple[float, float]) -> None:
    low, high = frame
    if column.integer and high - low <= 40:
        edges = np.arange(math.floor(low) - 0.5, math.ceil(high) + 1)
    else:
        edges = np.linspace(low, high, int(np.clip(2 * len(column.data) ** 0.4, 10, 40)) + 1)
    for values, colour in ((column.data, DATA), (column.samples, SAMPLES)):
        values = values[np.isfinite(values)]
        if len(values) == 0:
            continue
        heights = np.histogram(values, edges)[0] / len(values)
        ax.stairs(heights, edges, color=colour, fill=True, alpha=0.18)
        ax.stairs(heights, edges, color=colour, lw=1.4)
    ax.set_ylim(0, None)
    ax.spines["left"].set_visible(False)


def _correlations(ax: Axes, first: PairColumn, second: PairColumn, size: float) -> None:
    ax.set_axis_off()
    for y, values, colour in (
        (0.6, (first.data, second.data), DATA),
        (0.4, (first.samples, second.samples), SAMPLES),
    ):
        r = spearman(*values)
        text = "–" if math.isnan(r) else f"{r:.2f}".replace("-", "−")
        ax.text(0.5, y, text, color=colour, fontsize=size, ha="center", va="center", transform=ax.transAxes)


def _ticks(ax: Axes, *, bottom: bool, left: bool) -> None:
    """Set a few ticks away from the ends of the frame, so that labels of neighbouring plots do not touch."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        margin = 0.1 * (high - low)
        ticks = MaxNLocator(4).tick_values(low, high)
        inner = [tick for tick in ticks if low + margin <= tick <= high - margin]
        axis.set_ticks(inner or [(low + high) / 2])
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}".replace("-", "−")))
    ax.tick_params(labelbottom=bottom, labelleft=left, left=left or bool(ax.collections))


def _legend(fig: Figure, top: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", ls="", color=colour, ms=5, label=label)
        for label, colour in (("held-out data", DATA), ("samples", SAMPLES))
    ]
    fig.legend(handles=handles, loc="upper right", bbox_to_anchor=(1, top), ncols=2, frameon=False, fontsize=9)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
