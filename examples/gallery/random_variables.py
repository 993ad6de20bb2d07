"""Exact densities of functions of random variables, and histograms of simulated values."""

import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch.distributions import Exponential, Normal, Uniform

from pushforward.random_variables import Branch, branches, monotone, sum_of

NORMAL = Normal(0.0, 1.0)
WEIGHTS = Uniform(0.0, 1.0), Uniform(0.0, 1.0), Exponential(2.0)


def main(out: Path, *, quick: bool = False) -> None:
    """Draw four densities."""
    n = 2000 if quick else 20_000
    torch.manual_seed(0)
    x = NORMAL.sample((n,))
    root = [Branch(-math.inf, 0.0, torch.square, lambda y: -y.sqrt()), Branch(0.0, math.inf, torch.square, torch.sqrt)]
    added = torch.stack([part.sample((n,)) for part in WEIGHTS]).sum(0)
    shown = [
        ("exp(X), X normal", monotone(NORMAL, torch.exp, torch.log), x.exp(), (0.01, 5)),
        ("X squared, X normal", branches(NORMAL, root), x.square(), (0.02, 4)),
        ("sinh(X), X normal", monotone(NORMAL, torch.sinh, torch.asinh), x.sinh(), (-5, 5)),
        ("U + V + W, uniform, uniform, exponential", sum_of(*WEIGHTS), added, (0, 4)),
    ]
    figure = Figure(figsize=(9, 5), layout="constrained")
    for panel, (name, exact, drawn, (low, high)) in zip(figure.subplots(2, 2).flat, shown, strict=True):
        y = torch.linspace(low, high, 100 if quick else 400)
        density = exact.log_prob(y).exp()
        panel.hist(
            drawn.numpy(),
            bins=40,
            range=(low, high),
            weights=torch.full((n,), 40 / (high - low) / n),
            color="#c3cddb",
            ec="white",
            lw=0.5,
        )
        panel.plot(y, density, color="#0072B2", lw=2)
        panel.set_title(name, fontsize=11)
        panel.set(yticks=[], xlim=(low, high), ylim=(0, min(1.1 * float(density.max()), 1.6)))
        panel.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("random_variables.png"))
