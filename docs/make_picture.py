"""Make docs/_static/pushforward.png: data, density and samples of a spline flow on two toy densities."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.distributions.toy import CheckerboardDensity, eight_gaussians


def main() -> None:
    """Fit two flows, draw six panels."""
    torch.set_num_threads(1)
    figure = Figure(figsize=(9.6, 6.5), dpi=110, layout="constrained")
    axes = figure.subplots(2, 3)
    for row, density in zip(axes, (CheckerboardDensity(), eight_gaussians()), strict=True):
        torch.manual_seed(0)
        flow = pf.systems.NSF(features=2, layers=3, hidden=64, bins=16, bound=6.0).build()
        x = density.sample(50_000)
        pf.fit(
            flow, x, validation=0.1, lr=2e-3, batch_size=512, epochs=30, schedule="cosine", ema=0.995, progress=False
        )
        axis = torch.linspace(-4.5, 4.5, 300)
        grid = torch.cartesian_prod(axis, axis)
        with torch.no_grad():
            p = flow.log_prob(grid).exp().reshape(300, 300)
        test = density.sample(50_000, seed=1)
        nll = -float(flow.log_prob(test).mean())
        row[0].scatter(*x[:4000].T, s=1, color="#1f4e79")
        row[1].imshow(p.T, origin="lower", extent=(-4.5, 4.5, -4.5, 4.5), cmap="magma")
        row[2].scatter(*flow.sample(4000).T, s=1, color="#b3541e")
        row[0].set_title(f"data (entropy {density.entropy:.3f} nats)")
        row[1].set_title(f"density (held-out {nll:.3f} nats)")
        row[2].set_title("samples")
        for panel in row:
            panel.set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), xticks=[], yticks=[], aspect="equal")
    figure.savefig(Path(__file__).parent / "_static" / "pushforward.png")


if __name__ == "__main__":
    main()
