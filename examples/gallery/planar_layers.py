"""Planar flows of 2, 8 and 32 layers, fitted to an energy without any data."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.core import Real


def ring(z: Tensor) -> Tensor:
    """Log-density of a ring with two bumps, up to a constant (Rezende and Mohamed 2015, U1)."""
    bumps = torch.logaddexp(-0.5 * ((z[:, 0] - 2) / 0.6).square(), -0.5 * ((z[:, 0] + 2) / 0.6).square())
    return bumps - 0.5 * ((z.norm(dim=1) - 2) / 0.4).square()


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the three flows by the reverse Kullback-Leibler divergence and draw their densities."""
    torch.set_num_threads(1)
    n = 40 if quick else 250
    axis = torch.linspace(-4, 4, n)
    grid = torch.cartesian_prod(axis, axis)
    true = ring(grid).exp()
    log_z = float((true.sum() * (axis[1] - axis[0]) ** 2).log())

    figure = Figure(figsize=(11, 3), layout="constrained")
    panels = figure.subplots(1, 4)
    panels[0].imshow(true.reshape(n, n).T, origin="lower", extent=(-4, 4, -4, 4), cmap="viridis")
    panels[0].set_title("target")
    for panel, layers in zip(panels[1:], (2, 8, 32), strict=True):
        found = pf.posteriors.fit(
            ring,
            Real((2,)),
            flow="planar",
            layers=layers,
            steps=5 if quick else 1500,
            samples=32 if quick else 128,
            lr=2e-2,
            start="wide",
            anneal=0.5,
            tolerance=0.0,
            restarts=1 if quick else 2,
            chains=0,
            progress=False,
        )
        x = found.sample(100 if quick else 200_000)
        counts = torch.histogramdd(x, [n // 2, n // 2], range=[-4.0, 4.0, -4.0, 4.0]).hist
        panel.imshow(counts.T, origin="lower", extent=(-4, 4, -4, 4), cmap="viridis")
        panel.set_title(f"{layers} layers, KL {log_z - found.elbo.value:.2f} nats")
    for panel in panels:
        panel.set(xticks=[], yticks=[])
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("planar_layers.png"))
