"""Posterior of the eight schools: the effects of coaching, drawn together by a common mean (Rubin 1981)."""

import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import HalfCauchy, Normal

import pushforward as pf
from pushforward.core import Box, Real

EFFECTS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def log_density(p: dict[str, Tensor]) -> Tensor:
    """Log of likelihood times prior, (B,)."""
    effects = p["mean"][:, None] + p["spread"][:, None] * p["standard"]
    prior = Normal(0.0, 5.0).log_prob(p["mean"]) + HalfCauchy(5.0).log_prob(p["spread"])
    prior = prior + Normal(0.0, 1.0).log_prob(p["standard"]).sum(1)
    return prior + Normal(effects, ERRORS).log_prob(EFFECTS).sum(1)


def main(out: Path, *, quick: bool = False) -> None:
    """Fit the posterior, and draw the effects beside the data, and the funnel of the spread."""
    torch.set_num_threads(1)
    space = {"mean": Real(()), "spread": Box((), 0.0, math.inf), "standard": Real((8,))}
    fit = pf.posteriors.fit(
        log_density, space, layers=2, steps=5 if quick else 600, samples=32 if quick else 128, chains=0, progress=False
    )
    draws = {name: torch.as_tensor(v).flatten(0, 1) for name, v in fit.draws.items()}
    effects = draws["mean"][:, None] + draws["spread"][:, None] * draws["standard"]
    low, middle, high = effects.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=effects.dtype), 0)

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    rows = torch.arange(8).flip(0)
    left.errorbar(
        EFFECTS, rows + 0.15, xerr=1.28 * ERRORS, fmt="o", color="#8a8f98", label="estimate of each school alone"
    )
    left.errorbar(
        middle,
        rows - 0.15,
        xerr=[middle - low, high - middle],
        fmt="o",
        color="#0072B2",
        label="posterior, 80 % interval",
    )
    left.axvline(float(draws["mean"].median()), color="#0072B2", lw=1, ls=":")
    left.set(yticks=range(8), yticklabels="HGFEDCBA", xlabel="effect of coaching, points of the test", ylim=(-0.7, 9.4))
    left.legend(frameon=False, loc="upper right", fontsize=9)
    right.scatter(draws["standard"][:, 0], draws["spread"], s=2, color="#0072B2", alpha=0.5, linewidths=0)
    right.set(xlabel="effect of school A, standardised", ylabel="spread of the effects", yscale="log", ylim=(0.05, 60))
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("eight_schools.png"))
