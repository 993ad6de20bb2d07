"""Density and samples of a spline flow on a checkerboard."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.distributions.toy import CheckerboardDensity


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the flow and draw data, density and samples."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    truth = CheckerboardDensity()
    x = truth.sample(500 if quick else 50_000)
    flow = pf.systems.NSF(features=2, layers=3, hidden=64, bins=16, bound=6.0).build()
    pf.fit(
        flow,
        x,
        validation=0.1,
        epochs=1 if quick else 14,
        batch_size=512,
        lr=3e-3,
        schedule="cosine",
        progress=False,
    )

    axis = torch.linspace(-4.5, 4.5, 40 if quick else 300)
    with torch.no_grad():
        density = flow.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(len(axis), -1)
        score = float(flow.log_prob(truth.sample(20_000, seed=1)).mean())

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.scatter(*x[:3000].T, s=1, color="#0072B2")
    left.set_title(f"data, best score {-truth.entropy:.2f} nats")
    middle.imshow(density.T, origin="lower", extent=(-4.5, 4.5, -4.5, 4.5), cmap="magma")
    middle.set_title(f"density, score {score:.2f} nats")
    right.scatter(*flow.sample(3000).T, s=1, color="#D55E00")
    right.set_title("samples")
    for panel in (left, middle, right):
        panel.set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), xticks=[], yticks=[], aspect="equal")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("checkerboard.png"))
