"""Three ancestors of normalising flows on one curved density: what they make of the data, and how the likelihood grows."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core import initialise


def main(out: Path, *, quick: bool = False) -> None:
    """Grow a chain of local maps, and draw the rows behind some of them, the training curve and samples."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    n, maps = (300, 10) if quick else (5000, 300)
    x = rows(n)
    flow = pf.systems.TabakTurner(features=2, maps=maps).build()
    initialise(flow, x)
    gaussian = pf.systems.Gaussianization(features=2, layers=2 if quick else 10).build()
    initialise(gaussian, x)

    figure = Figure(figsize=(11, 2.9), layout="constrained")
    panels = figure.subplots(1, 5)
    with torch.no_grad():
        z = flow.chain(x)[0]
        panels[0].plot(*x[:2000].T, ".", ms=2, color="black")
        panels[1].plot(*z[:2000].T, ".", ms=2, color="#0072B2")
        panels[3].plot(*flow.sample(2000).T, ".", ms=2, color="#0072B2")
        panels[4].plot(*gaussian.sample(2000).T, ".", ms=2, color="#D55E00")
    panels[2].semilogx(torch.arange(1, maps + 1), flow.chain[0].curve, color="#0072B2", lw=2)
    titles = ("data", f"behind {maps} local maps", "nats per row", "samples: local maps", "samples: iterative fit")
    for i, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        panel.set_title(title, fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        if i in (0, 3, 4):
            panel.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
    panels[1].set(xlim=(-4, 4), ylim=(-4, 4))
    panels[2].set_xlabel("maps", fontsize=9)
    figure.savefig(out, dpi=100)


def rows(n: int) -> torch.Tensor:
    """Return rows of a spiral with noise."""
    angle = 1.5 * torch.pi * (1 + 2 * torch.rand(n))
    return (torch.stack([angle * angle.cos(), angle * angle.sin()], 1) + 0.7 * torch.randn(n, 2)) / 5


if __name__ == "__main__":
    main(Path("ancestors.png"))
