"""Encoders and decoders without structure: a density in the plane, and densities along a curve and on a surface."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.systems.spec import Spec


def bent(u: Tensor) -> Tensor:
    """Return points of the plane around a parabola."""
    return torch.stack([u[:, 0], 0.6 * u[:, 0].square() + 0.4 * u[:, 1]], 1)


def curve(u: Tensor) -> Tensor:
    """Return points of a curve with some noise."""
    return torch.stack([u, (2 * u).sin()], 1) + 0.05 * torch.randn(len(u), 2)


def surface(u: Tensor) -> Tensor:
    """Return points of a wave with some noise."""
    return torch.cat([u, (2 * u[:, :1]).sin() * 0.6], 1) + 0.03 * torch.randn(len(u), 3)


def fitted(spec: Spec, x: Tensor, steps: int, *, quick: bool) -> pf.core.Flow:
    """Return the flow of a spec, trained on rows."""
    torch.manual_seed(0)
    flow = spec.build()
    pf.fit(
        flow,
        x,
        epochs=1000,
        max_steps=3 if quick else steps,
        batch_size=256,
        lr=5e-3,
        schedule="cosine",
        patience=0,
        progress=False,
    )
    return flow.eval()


def main(out: Path, *, quick: bool = False) -> None:
    """Fit a free-form flow and two injective flows, and draw what they have learned."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows, n = (500, 30) if quick else (20_000, 200)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, middle = figure.add_subplot(1, 3, 1), figure.add_subplot(1, 3, 2)
    right = figure.add_subplot(1, 3, 3, projection="3d")

    flow = fitted(pf.systems.FreeFormFlow(features=2, hidden=(96, 96)), bent(torch.randn(rows, 2)), 600, quick=quick)
    axis = torch.linspace(-3, 3, n)
    with torch.no_grad():
        density = flow.log_prob(torch.cartesian_prod(axis, axis + 1)).exp().reshape(n, n)
    left.imshow(density.T, origin="lower", extent=(-3, 3, -2, 4), cmap="magma")
    left.set_title("free-form: the plane", fontsize=10)

    x = curve(torch.randn(rows))
    spec = pf.systems.InjectiveFlow(features=2, latent_size=1, hidden=(48, 48), reconstruction=300.0)
    flow = fitted(spec, x, 800, quick=quick)
    with torch.no_grad():
        points, score = flow.chain.inverse(torch.linspace(-2.5, 2.5, 1000)[:, None])
        density = flow.log_prob(points).exp()
    middle.scatter(*x[:2000].T, s=1, color="#BBBBBB")
    middle.scatter(*points.T, s=4, c=density, cmap="viridis")
    middle.set_title("injective: a curve", fontsize=10)

    x = surface(torch.randn(rows, 2))
    spec = pf.systems.InjectiveFlow(features=3, latent_size=2, hidden=(48, 48), reconstruction=300.0)
    flow = fitted(spec, x, 500, quick=quick)
    drawn, score = flow.sample_and_log_prob(200 if quick else 3000)
    right.scatter(*drawn.T, s=2, c=score.exp(), cmap="viridis")
    right.set_title("injective: draws on a surface", fontsize=10)
    for panel in (left, middle):
        panel.set(xticks=[], yticks=[])
    right.set(xticks=[], yticks=[], zticks=[])
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("free_form.png"))
