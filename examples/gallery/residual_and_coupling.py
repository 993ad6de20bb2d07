"""A residual flow beside an affine coupling flow of about the same number of parameters."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.distributions.toy import eight_gaussians


def main(out: Path, *, quick: bool = False) -> None:
    """Fit both flows and draw their densities."""
    torch.set_num_threads(1)
    truth = eight_gaussians()
    x, test = truth.sample(500 if quick else 20_000), truth.sample(300 if quick else 10_000, seed=1)
    specs = {
        "affine couplings": pf.systems.RealNVP(features=2, layers=10, hidden=(40, 40)),
        "residual layers": pf.systems.ResidualFlow(features=2, layers=8, hidden=(48, 48)),
    }
    n = 30 if quick else 200
    axis = torch.linspace(-4.2, 4.2, n)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    panels[0].scatter(*x[:3000].T, s=1, color="#0072B2")
    panels[0].set_title(f"data\nbest score {-truth.entropy:.2f} nats", fontsize=10)
    for panel, (name, spec) in zip(panels[1:], specs.items(), strict=True):
        torch.manual_seed(0)
        flow = spec.build()
        pf.fit(
            flow,
            x,
            epochs=100,
            max_steps=3 if quick else 1500,
            batch_size=256,
            lr=4e-3,
            schedule="cosine",
            progress=False,
        )
        with torch.no_grad():
            density = flow.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(n, n)
            score = float(flow.log_prob(test).mean())
        count = sum(p.numel() for p in flow.parameters())
        panel.imshow(density.T, origin="lower", extent=(-4.2, 4.2, -4.2, 4.2), cmap="magma")
        panel.set_title(f"{name}, {score:.2f} nats\n{count:,} parameters", fontsize=10)
    for panel in panels:
        panel.set(xlim=(-4.2, 4.2), ylim=(-4.2, 4.2), xticks=[], yticks=[], aspect="equal")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("residual_and_coupling.png"))
