"""A grid of the latent space on its way through the couplings of a RealNVP."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import pushforward as pf


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the flow and draw the grid after every two layers."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.tensor(make_moons(400 if quick else 5000, noise=0.06, random_state=0)[0]).float()
    x = (x - x.mean(0)) / x.std(0)
    flow = pf.systems.RealNVP(features=2, layers=8, hidden=(64, 64)).build()
    pf.fit(flow, x, validation=0.1, epochs=1 if quick else 60, lr=2e-3, schedule="cosine", progress=False)

    lines = torch.linspace(-2.4, 2.4, 17)
    fine = torch.linspace(-2.4, 2.4, 120)
    across = torch.stack(torch.meshgrid(fine, lines, indexing="ij"), -1)
    along = across.flip(-1)
    moved = torch.stack([across, along]).reshape(-1, 2)
    cloud = torch.randn(1500, 2)

    figure = Figure(figsize=(11, 2.6), layout="constrained")
    panels = figure.subplots(1, 5)
    with torch.no_grad():
        for step, panel in enumerate(panels):
            for family in moved.reshape(2, len(fine), len(lines), 2):
                panel.plot(*family.unbind(-1), color="#0072B2", lw=0.5, alpha=0.8)
            panel.scatter(*cloud.T, s=1.5, color="#D55E00", alpha=0.6, zorder=3, linewidths=0)
            panel.set_title("latent" if step == 0 else f"after {2 * step} couplings")
            panel.set(xticks=[], yticks=[], aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
            for layer in list(flow.chain)[::-1][2 * step : 2 * step + 2]:
                moved, cloud = layer.inverse(moved)[0], layer.inverse(cloud)[0]
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("layer_by_layer.png"))
