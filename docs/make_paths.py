"""Make docs/_static/paths.png: rows on their way from data to noise, for three ways of training a continuous flow."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.distributions.toy import eight_gaussians
from pushforward.evaluation import follow, straightness

DATA, NOISE, LINE = "#0072B2", "#D55E00", "#8a8f98"
SMALL = {"system": "flow-matching", "hidden": (64, 64, 64)}
MODELS = {
    "OT-Flow": (
        {"system": "otflow", **pf.systems.OTFlow.presets["toy"]},
        {"batch_size": 512, "lr": 0.03, "max_steps": 400},
    ),
    "flow matching, OT pairs": (SMALL, {"batch_size": 64, "lr": 4e-3, "max_steps": 6000}),
    "flow matching, independent pairs": (
        {**SMALL, "bridge": "independent"},
        {"batch_size": 256, "lr": 4e-3, "max_steps": 6000},
    ),
}


def main() -> None:
    """Fit three flows, draw three panels."""
    torch.set_num_threads(1)
    figure = Figure(figsize=(9.6, 3.8), dpi=110, layout="constrained")
    x, test = eight_gaussians().sample(50_000), eight_gaussians().sample(1000, seed=1)
    for panel, (name, (spec, training)) in zip(figure.subplots(1, 3), MODELS.items(), strict=True):
        torch.manual_seed(0)
        fields = dict(spec)
        flow = pf.build(fields.pop("system"), features=2, **fields)
        pf.fit(flow, x, progress=False, epochs=20, schedule="cosine", weight_decay=0.0, **training)  # type: ignore[arg-type]
        points = follow(flow, test, rows=120)
        assert points is not None  # noqa: S101
        panel.plot(*points.unbind(-1), color=LINE, lw=0.7, alpha=0.8)
        panel.plot(*points[0].T, "o", ms=2.5, color=DATA, label="data")
        panel.plot(*points[-1].T, "o", ms=2.5, color=NOISE, label="noise")
        panel.set_title(f"{name}\nenergy / displacement {straightness(flow, test).ratio:.2f}", fontsize=10)
        panel.set(xlim=(-4, 4), ylim=(-4, 4), xticks=[], yticks=[], aspect="equal")
    figure.axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    figure.savefig(Path(__file__).parent / "_static" / "paths.png")


if __name__ == "__main__":
    main()
