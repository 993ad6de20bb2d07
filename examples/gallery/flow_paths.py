"""Noise on its way to data along a velocity field that flow matching has learned."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.distributions.toy import eight_gaussians
from pushforward.evaluation import follow, straightness


def main(out: Path, *, quick: bool = False) -> None:
    """Fit two bridges and draw the paths of points from data to noise."""
    torch.set_num_threads(1)
    x, test = eight_gaussians().sample(500 if quick else 20_000), eight_gaussians().sample(1000, seed=1)
    names = {"independent": "independent pairs", "ot": "pairs of optimal transport"}
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    for panel, (bridge, name) in zip(figure.subplots(1, 2), names.items(), strict=True):
        torch.manual_seed(0)
        flow = pf.build("flow-matching", features=2, hidden=(64, 64, 64), bridge=bridge)
        pf.fit(
            flow,
            x,
            epochs=100,
            max_steps=5 if quick else 4000,
            batch_size=128,
            lr=3e-3,
            schedule="cosine",
            progress=False,
        )
        path = follow(flow, test, rows=60 if quick else 250)
        panel.plot(*path.unbind(-1), color="#8a8f98", lw=0.6, alpha=0.7)
        panel.plot(*path[-1].T, "o", ms=2.5, color="#D55E00", label="noise")
        panel.plot(*path[0].T, "o", ms=2.5, color="#0072B2", label="data")
        panel.set_title(f"{name}: energy / displacement {straightness(flow, test).ratio:.2f}", fontsize=11)
        panel.set(xlim=(-4, 4), ylim=(-4, 4), xticks=[], yticks=[], aspect="equal")
    figure.axes[0].legend(frameon=False, loc="upper left")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("flow_paths.png"))
