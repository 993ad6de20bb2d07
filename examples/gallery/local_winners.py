"""Samples of affine couplings, and of two flows with local winners of about the same number of parameters."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.distributions.toy import CheckerboardDensity
from pushforward.evaluation import log_likelihoods


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the flows and draw their samples."""
    torch.set_num_threads(1)
    truth = CheckerboardDensity()
    x, test = truth.sample(500 if quick else 50_000), truth.sample(300 if quick else 5_000, seed=1)
    specs = {
        "affine couplings": pf.systems.RealNVP(features=2, layers=8, hidden=(60, 60), activation="silu"),
        "competing couplings": pf.systems.LWTA(features=2, layers=5, units=6, hidden=(56, 56), samples=2),
        "folds": pf.systems.LWTA(features=2, design="fold", layers=4, units=2, hidden=(48, 48)),
    }
    figure = Figure(figsize=(10, 3), layout="constrained")
    panels = figure.subplots(1, 4)
    panels[0].set_title(f"data\nbest score {-truth.entropy:.2f} nats", fontsize=10)
    panels[0].scatter(*x[:6000].T, s=1, color="#0072B2", linewidths=0)
    for panel, (name, spec) in zip(panels[1:], specs.items(), strict=True):
        torch.manual_seed(0)
        flow = spec.build()
        steps = 3 if quick else 1000
        pf.fit(flow, x, epochs=100, max_steps=steps, batch_size=512, lr=4e-3, schedule="linear", progress=False)
        samples = 2 if quick else 16
        score = float(log_likelihoods(flow, test, samples=samples).mean())
        panel.scatter(*flow.sample(6000).T, s=1, color="#0072B2", linewidths=0)
        symbol = "" if flow.exactness.symbol == "=" else ">= "
        panel.set_title(
            f"{name}, {symbol}{score:.2f} nats\n{sum(p.numel() for p in flow.parameters()):,} parameters", fontsize=10
        )
    for panel in panels:
        panel.set(xlim=(-4.8, 4.8), ylim=(-4.8, 4.8), xticks=[], yticks=[], aspect="equal")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("local_winners.png"))
