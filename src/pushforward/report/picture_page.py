"""Report on a model of pictures: bits per dimension, samples beside data, nearest and least likely pictures."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import DataError
from ..evaluation import Bits
from ..pictures import to_grid
from ..pictures.picture_files import load_pillow
from . import plots, sections
from .page import render
from .plots import Picture
from .sections import Remark
from .words import between, number

Array = np.ndarray[Any, np.dtype[Any]]

SHOWN = 36
"""Largest number of pictures in a grid of data or samples."""
PAIRS = 16
"""Largest number of samples that are shown with their nearest pictures."""
LEAST_LIKELY = 20
WIDEST = 920
"""Width of the widest grid on the page, in CSS pixels."""
MEANING = {
    "=": "The number is exact.",
    "<=": "The number is an upper bound: the model needs at most this many.",
    ">=": "The number is a lower bound: the model needs at least this many.",
    "~": "The number is an estimate.",
}
_RELATION = {"=": "", "<=": "≤ ", ">=": "≥ ", "~": "≈ "}


@dataclass(frozen=True, kw_only=True)
class PictureReport:
    """Contents of the report on a model of pictures.

    Args:
        title: Title of the page, for example the name of the data set.
        system: Name of the fitted system.
        levels: Number of values that a pixel can take.
        held_out: Pictures that were not used in training, (N, C, H, W) uint8.
        samples: Samples of the model, (M, C, H, W) uint8.
        log_prob: Log-likelihood of each held-out picture, (N,), in nats.
        bits: Bits per dimension of the held-out pictures.
        trained_on: Pictures that the model was trained on, (T, C, H, W) uint8; None if they are not known.
        columns: Number of columns of the grid of samples, for a model with classes; None for a square grid.
        files: Name of the file of each held-out picture; empty for pictures that are not from single files.
        baselines: Bits per dimension of simpler models on the same pictures, by name.
        paper: Publication of the system.
        spec: Arguments of the system.
        training: Record of the training; empty if there is none.
        settings: Options of the report.
        versions: Version of each library.
        created: Date and time, as text.

    Raises:
        DataError: Shapes or lengths do not fit.
    """

    title: str
    system: str
    levels: int
    held_out: Array
    samples: Array
    log_prob: Array
    bits: Bits
    trained_on: Array | None = None
    columns: int | None = None
    files: Sequence[str] = ()
    baselines: Mapping[str, float] = field(default_factory=dict)
    paper: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""

    def __post_init__(self) -> None:
        """Check that shapes and lengths fit together."""
        if self.log_prob.shape != (len(self.held_out),) or len(self.held_out) == 0 or np.isnan(self.log_prob).any():
            raise DataError(
                f"expected one log-likelihood for each of {len(self.held_out)} held-out pictures and no NaN, "
                f"got shape {self.log_prob.shape} with {int(np.isnan(self.log_prob).sum())} NaN"
            )
        for name, found in (("samples", self.samples), ("trained_on", self.trained_on)):
            if found is not None and (found.shape[1:] != self.held_out.shape[1:] or len(found) == 0):
                raise DataError(f"expected {name} of shape {self.held_out.shape[1:]}, got {found.shape}")


def build_picture_report(inputs: PictureReport) -> str:
    """Return the page as HTML, with all pictures inside; it loads no other file and runs no script.

    Raises:
        DataError: matplotlib, Pillow, jinja2 or latex2mathml is not installed.
    """
    order = np.argsort(inputs.log_prob, kind="stable")[:LEAST_LIKELY]
    dimensions = math.prod(inputs.held_out.shape[1:])
    channels, height, width = inputs.held_out.shape[1:]
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    bits = inputs.bits
    own = f"{_RELATION[bits.symbol]}{between(number(bits.value, 3), number(bits.error, 3))}"
    rows = [{"name": inputs.system, "bits": own, "more": "", "own": True}]
    for name, value in inputs.baselines.items():
        rows.append(
            {"name": name, "bits": number(value, 3), "more": number(value - bits.value, 3, sign=True), "own": False}
        )
    pairs, distance = _nearest(inputs)
    least = [
        {
            "number": f"{i + 1:,}",
            "nats": number(float(inputs.log_prob[i]), 1),
            "bits": number(-float(inputs.log_prob[i]) / math.log(2) / dimensions, 3),
            "file": inputs.files[i] if inputs.files else "",
        }
        for i in order
    ]
    return render(
        "picture_template.html.j2",
        inputs=inputs,
        kind=f"{kind} pictures of {height} x {width}",
        meaning=MEANING[bits.symbol],
        uniform=number(math.log2(inputs.levels), 3),
        formula=sections.formula(r"\mathrm{bits} = -\frac{1}{N D \log 2}\sum_{i=1}^{N} \log\, p(x_i)"),
        verdict=_verdict(inputs),
        figures=_figures(inputs),
        table=rows,
        record=sections.training_record(inputs.training, "picture"),
        data=_grid(inputs.held_out[:SHOWN], inputs.levels, 440),
        samples=_grid(_first(inputs.samples, inputs.columns), inputs.levels, 440, inputs.columns),
        pairs=pairs,
        distance=distance,
        histogram=plots.log_prob_plot(inputs.log_prob, inputs.log_prob[order], "picture"),
        unlikely=_grid(inputs.held_out[order], inputs.levels, 700, min(10, len(order))),
        least=least,
        made=sections.how_made(inputs.spec, inputs.training, inputs.settings, inputs.versions),
    )


def _best(inputs: PictureReport) -> tuple[str, float] | None:
    """Return the name of the best baseline, and the bits per dimension that the model needs less; None without baselines."""
    if not inputs.baselines:
        return None
    name = min(inputs.baselines, key=lambda key: inputs.baselines[key])
    return name, inputs.baselines[name] - inputs.bits.value


def _verdict(inputs: PictureReport) -> Remark | None:
    best = _best(inputs)
    if best is None or not math.isfinite(best[1]):
        return None
    name, saved = best
    error = 0.0 if math.isnan(inputs.bits.error) else inputs.bits.error
    size = f"{number(abs(saved), 3)} bits per dimension"
    if saved > 2 * error:
        return Remark("good", f"The model needs {size} fewer than the best baseline, {name}, on held-out pictures.")
    if saved < -2 * error:
        return Remark("bad", f"The model needs {size} more than the best baseline, {name}, on held-out pictures.")
    return Remark("mixed", f"On held-out pictures the model and the best baseline, {name}, are about equal.")


def _figures(inputs: PictureReport) -> list[dict[str, str]]:
    bits = inputs.bits
    found = [
        {
            "value": _RELATION[bits.symbol] + number(bits.value, 3),
            "error": number(bits.error, 3),
            "label": f"bits per dimension, mean over {bits.events - bits.impossible:,} held-out pictures",
        }
    ]
    best = _best(inputs)
    if best is not None:
        label = f"bits per dimension saved against the best baseline, {best[0]}"
        found.append({"value": number(best[1], 3), "error": "", "label": label})
    return found


def _nearest(inputs: PictureReport) -> tuple[Picture | None, dict[str, str]]:
    """Return a grid of samples with the nearest training picture below each, and the distances as texts."""
    if inputs.trained_on is None:
        return None, {}
    numbers, apart = _distances(inputs.samples, inputs.trained_on, inputs.levels)
    held = _distances(inputs.held_out[: len(inputs.samples)], inputs.trained_on, inputs.levels)[1]
    shown = inputs.samples[:PAIRS]
    columns = min(8, len(shown))
    shown = shown[: len(shown) // columns * columns]
    both = [shown, inputs.trained_on[numbers[: len(shown)]]]
    rows = [part[i : i + columns] for i in range(0, len(shown), columns) for part in both]
    words = {"mean": number(float(apart.mean()), 3), "least": number(float(apart.min()), 3)}
    return _grid(np.concatenate(rows), inputs.levels, 700, columns), {**words, "held": number(float(held.mean()), 3)}


def _distances(x: Array, among: Array, levels: int) -> tuple[Array, Array]:
    """Return for each picture the number of the nearest one in `among`, and its distance.

    The distance is the root mean square difference, divided by the range of brightness. The nearest one is found with
    |a - b|^2 = |a|^2 - 2 a.b + |b|^2, one matrix product. This loses digits where the distance is small, so the distance to the
    nearest one is computed again from the difference.
    """
    flat, others = (part.reshape(len(part), -1).astype(np.float32) / (levels - 1) for part in (x, among))
    squared = (flat**2).sum(1)[:, None] - 2 * flat @ others.T + (others**2).sum(1)
    found = squared.argmin(1)
    apart = np.sqrt(((flat - others[found]) ** 2).mean(1))
    return found, apart


def _first(samples: Array, columns: int | None) -> Array:
    if columns is None:
        return samples[:SHOWN]
    return samples[: max(columns, SHOWN // columns * columns)]


def _grid(images: Array, levels: int, width: int, columns: int | None = None) -> Picture:
    """Return a grid of pictures as one PNG picture, which is shown at a width of at most `width` CSS pixels."""
    grid = to_grid(images, levels, columns=columns)
    pixels = grid[..., 0] if grid.shape[-1] == 1 else grid
    small = io.BytesIO()
    load_pillow("the report on pictures").fromarray(np.ascontiguousarray(pixels)).save(small, "png", optimize=True)
    encoded = base64.b64encode(small.getvalue()).decode("ascii")
    return Picture(f"data:image/png;base64,{encoded}", min(width, WIDEST, grid.shape[1]))
