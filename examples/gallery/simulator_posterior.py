"""Posterior of the parameters of a simulator, learned from simulations alone, beside the exact one."""

import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.core import Box

OBSERVED = torch.tensor([[0.0, 0.0], [-0.3, -0.3], [-0.6, 0.4]])


def simulate(theta: Tensor) -> Tensor:
    """Return a point on a noisy half-circle, shifted by the parameters (Greenberg et al. 2019, two moons)."""
    angle = math.pi * (torch.rand(len(theta)) - 0.5)
    radius = 0.3 + 0.04 * torch.randn(len(theta))
    arc = torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], 1)
    return arc + shift(theta)


def shift(theta: Tensor) -> Tensor:
    """Return how far the half-circle is moved."""
    return torch.stack([-theta.sum(1).abs(), theta[:, 1] - theta[:, 0]], 1) / math.sqrt(2)


def exact(theta: Tensor, x: Tensor) -> Tensor:
    """Return the exact posterior density, up to a constant."""
    offset = x - shift(theta) - torch.tensor([0.25, 0.0])
    radius = offset.norm(dim=1)
    return torch.where(offset[:, 0] > 0, (-0.5 * ((radius - 0.3) / 0.04).square()).exp() / radius, 0.0)


def main(out: Path, *, quick: bool = False) -> None:
    """Train on simulations, and draw the posterior of three observations."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    theta = 2 * torch.rand(500 if quick else 30_000, 2) - 1
    spec = pf.systems.NSF(features=2, context=2, layers=4, hidden=64)
    found = pf.posteriors.amortised(
        spec,
        theta,
        simulate(theta),
        space=Box((2,), -1.0, 1.0),
        validation=0.1,
        epochs=1 if quick else 25,
        batch_size=256,
        lr=2e-3,
        schedule="cosine",
        progress=False,
    )
    n = 60 if quick else 400
    axis = torch.linspace(-1, 1, n)
    grid = torch.cartesian_prod(axis, axis)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for panel, x in zip(figure.subplots(1, 3), OBSERVED, strict=True):
        true = exact(grid, x).reshape(n, n).T
        panel.contourf(axis, axis, true, levels=torch.linspace(0.05, 1, 6) * true.max(), cmap="Oranges")
        panel.scatter(*found.sample(1000, x).T, s=1.5, color="#0072B2", alpha=0.6, linewidths=0)
        panel.set(xlim=(-1, 1), ylim=(-1, 1), xticks=[-1, 0, 1], yticks=[-1, 0, 1], aspect="equal")
        panel.set_title(f"observed ({x[0]:g}, {x[1]:g})")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("simulator_posterior.png"))
