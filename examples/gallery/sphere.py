"""Two densities on a sphere, and the flows that are fitted to them, on maps that keep areas."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.core import Sphere

SPACE = Sphere((3,))


def spiral(n: int, seed: int = 0) -> Tensor:
    """Return points along a spiral from pole to pole."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.rand(n, generator=generator) * 2 - 1
    width = (1 - t.square()).sqrt()
    x = torch.stack([width * (7 * t).cos(), width * (7 * t).sin(), t], 1)
    return SPACE.nearest(x + 0.04 * torch.randn(n, 3, generator=generator))


def four_modes(x: Tensor) -> Tensor:
    """Return the log-density of four modes, up to a constant."""
    angles = torch.tensor([[0.7, 1.5], [-1.0, 1.0], [0.6, 5.0], [-0.7, 4.0]], dtype=x.dtype)
    latitude, longitude = angles.unbind(1)
    centres = [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
    return (10 * x @ torch.stack(centres)).logsumexp(1)


def main(out: Path, *, quick: bool = False) -> None:
    """Fit one flow to points and one to a log-density, and draw both."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = spiral(300 if quick else 8000)
    flow = pf.systems.RecursiveSphere(features=3, layers=5, hidden=(64, 64), bins=24).build()
    pf.fit(flow, x, validation=0.1, epochs=1 if quick else 12, lr=4e-3, schedule="cosine", progress=False)
    found = pf.posteriors.fit(four_modes, SPACE, steps=20 if quick else 300, draws=400, progress=False)
    draws = [spiral(500, seed=1), found.sample(500)]
    densities: list[Callable[[Tensor], Tensor]] = [flow.eval().log_prob, found.log_prob]
    titles = ["fitted to points", f"fitted to a log-density, {found.ess:.0%} of the draws count"]

    n = 30 if quick else 180
    longitude = torch.linspace(-math.pi, math.pi, 2 * n)
    latitude = torch.linspace(-math.pi / 2, math.pi / 2, n)
    u, v = torch.meshgrid(longitude, latitude, indexing="xy")
    grid = torch.stack([v.cos() * u.cos(), v.cos() * u.sin(), v.sin()], -1).reshape(-1, 3)
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, subplot_kw={"projection": "mollweide"})
    for panel, log_prob, points, title in zip(panels, densities, draws, titles, strict=True):
        with torch.no_grad():
            density = log_prob(SPACE.nearest(grid)).exp().reshape(n, 2 * n)
        shown = panel.pcolormesh(
            u, v, density, cmap="magma", shading="gouraud", rasterized=True, vmax=density.quantile(0.995)
        )
        panel.scatter(
            torch.atan2(points[:, 1], points[:, 0]), points[:, 2].clamp(-1, 1).asin(), s=2, c="white", alpha=0.4
        )
        panel.set(xticks=[], yticks=[], title=title)
        figure.colorbar(shown, label="density per unit of area", shrink=0.7)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("sphere.png"))
