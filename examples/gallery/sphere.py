"""A density on the sphere, by a spline flow of height and longitude."""

import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.core import Box, Chain, Flow
from pushforward.transforms import to_line


def points(n: int, seed: int = 0) -> Tensor:
    """Return unit vectors around two directions and along a band."""
    generator = torch.Generator().manual_seed(seed)
    angle = 1.8 * math.pi * (torch.rand(n, generator=generator) - 0.5)
    band = torch.stack([angle.cos(), angle.sin(), 0.8 * (1.5 * angle).sin()], 1)
    centres = torch.tensor([[0.3, -0.6, 0.8], [0.6, 0.6, -0.9]])
    chosen = torch.randint(7, (n,), generator=generator)
    mean = torch.where(chosen[:, None] < 2, centres[chosen % 2], band)
    x = mean + 0.12 * torch.randn(n, 3, generator=generator)
    return x / x.norm(dim=1, keepdim=True)


def unit(x: Tensor) -> Tensor:
    """Return height and longitude in [0, 1]: the map to the cylinder keeps areas (Archimedes), so it has no log-determinant."""
    return torch.stack([(x[:, 2] + 1) / 2, torch.atan2(x[:, 1], x[:, 0]) / (2 * math.pi) + 0.5], 1).clamp(
        1e-6, 1 - 1e-6
    )


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the flow and draw its density on a map of the sphere, with fresh points."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = unit(points(300 if quick else 20_000))
    inner = pf.systems.NSF(features=2, layers=2, hidden=64, bins=12, bound=6.0, linear=False).build()
    flow = Flow(Chain(to_line(Box((2,), 0.0, 1.0)), inner.chain), inner.base)
    pf.fit(flow, x, validation=0.1, epochs=1 if quick else 15, lr=3e-3, schedule="cosine", progress=False)

    n = 30 if quick else 200
    longitude = torch.linspace(-math.pi, math.pi, 2 * n)
    latitude = torch.linspace(-math.pi / 2, math.pi / 2, n)
    u, v = torch.meshgrid(longitude, latitude, indexing="xy")
    grid = torch.stack([v.cos() * u.cos(), v.cos() * u.sin(), v.sin()], -1).reshape(-1, 3)
    with torch.no_grad():
        density = flow.log_prob(unit(grid)).exp().reshape(n, 2 * n) / (4 * math.pi)

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    panel = figure.subplots(subplot_kw={"projection": "mollweide"})
    shown = panel.pcolormesh(
        u, v, density, cmap="magma", shading="gouraud", rasterized=True, vmax=density.quantile(0.995)
    )
    test = points(400, seed=1)
    panel.scatter(torch.atan2(test[:, 1], test[:, 0]), test[:, 2].asin(), s=3, color="white", alpha=0.5, linewidths=0)
    panel.set(xticks=[], yticks=[])
    figure.colorbar(shown, label="density per unit of area", shrink=0.8)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("sphere.png"))
