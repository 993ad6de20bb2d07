"""Marginals with Pareto tails and a copula: a fitted vine beside a spline flow."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf


def main(out: Path, *, quick: bool = False) -> None:
    """Fit both models, and draw samples and the share of rows beyond a threshold."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    n, many = (400, 400) if quick else (10_000, 100_000)
    x, fresh = rows(n), rows(many)
    thresholds = torch.logspace(0.05, 1.6, 60)

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, 3)
    panels[2].loglog(thresholds, both_beyond(fresh, thresholds), color="black", lw=2, label="fresh data")
    panels[0].loglog(*fresh[:2000].T, ".", ms=2, color="black")
    panels[0].set_title("data")
    specs = {
        "vine": pf.systems.Vine(features=2, pairs="parametric"),
        "spline flow": pf.systems.NSF(features=2, layers=2, hidden=32),
    }
    for (name, spec), colour in zip(specs.items(), ("#D55E00", "#0072B2"), strict=True):
        torch.manual_seed(0)
        model = spec.build()
        pf.fit(model, x, validation=0.1, epochs=1 if quick else 10, lr=5e-3, progress=False)
        drawn = model.sample(many)
        if name == "vine":
            panels[1].loglog(*drawn[:2000].T, ".", ms=2, color=colour)
            panels[1].set(title="samples of the vine", xlim=panels[0].get_xlim(), ylim=panels[0].get_ylim())
        panels[2].loglog(thresholds, both_beyond(drawn, thresholds), color=colour, lw=2, label=name)
    panels[2].set(xlabel="threshold", title="share of rows beyond in both", ylim=(1e-5, 1))
    panels[2].legend(frameon=False)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


def rows(n: int) -> torch.Tensor:
    """Return rows of two Pareto variables of index 0.3 with a Clayton copula turned by 180 degrees, so large values meet."""
    u, w = torch.rand(2, n, dtype=torch.float64)
    v = (1 + u**-2 * (w ** (-2 / 3) - 1)) ** -0.5
    return (torch.stack([u, v], 1) ** -0.3).float()


def both_beyond(x: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Return the share of rows whose two values are above each threshold."""
    return (x.amin(1)[:, None] > thresholds).double().mean(0)


if __name__ == "__main__":
    main(Path("copulas.png"))
