"""Block neural autoregressive flows on three densities of the plane: a masked network is the map."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.distributions import toy


def main(out: Path, *, quick: bool = False) -> None:
    """Fit one flow to each density, and draw the truth above the fit."""
    torch.set_num_threads(1)
    truths = {
        "8 Gaussians": toy.eight_gaussians(),
        "checkerboard": toy.CheckerboardDensity(),
        "9 Gaussians": toy.nine_gaussians(),
    }
    n = 30 if quick else 160
    axis = torch.linspace(-4.4, 4.4, n)
    grid = torch.cartesian_prod(axis, axis)
    figure = Figure(figsize=(7.5, 5.4), layout="constrained")
    panels = figure.subplots(2, 3)
    for column, (name, truth) in zip(panels.T, truths.items(), strict=True):
        torch.manual_seed(0)
        flow = pf.systems.BNAF(features=2, layers=3, hidden=(24, 24)).build()
        pf.fit(
            flow,
            truth.sample(500 if quick else 50_000),
            epochs=100,
            max_steps=3 if quick else 2000,
            batch_size=512,
            lr=1e-2,
            schedule="cosine",
            progress=False,
        )
        with torch.no_grad():
            score = float(flow.log_prob(truth.sample(300 if quick else 10_000, seed=1)).mean())
            densities = truth.log_prob(grid).exp(), flow.log_prob(grid).exp()
        titles = f"{name}\nbest score {-truth.entropy:.2f} nats", f"{score:.2f} nats"
        for panel, density, title in zip(column, densities, titles, strict=True):
            top = float(densities[0].quantile(0.999))
            panel.imshow(
                density.reshape(n, n).T, origin="lower", extent=(-4.4, 4.4) * 2, cmap="magma", vmin=0, vmax=top
            )
            panel.set_title(title, fontsize=10)
            panel.set(xticks=[], yticks=[])
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("block_autoregressive.png"))
