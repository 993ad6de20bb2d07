"""The tails of a flow are those of its base: a normal and a Student t base on heavy-tailed data."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pushforward as pf


def main(out: Path, *, quick: bool = False) -> None:
    """Fit a flow on each base, and draw how often values beyond a threshold occur."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    truth = torch.distributions.StudentT(2.5)
    x, test = truth.sample((400 if quick else 10_000, 2)), truth.sample((400 if quick else 100_000, 2))
    x[:, 1] += 0.5 * x[:, 0]
    test[:, 1] += 0.5 * test[:, 0]
    thresholds = torch.logspace(-0.5, 2, 60)

    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    panel.loglog(thresholds, exceedance(test, thresholds), color="black", lw=2, label="fresh data")
    for base, colour in (("normal", "#0072B2"), ("student", "#D55E00")):
        torch.manual_seed(0)
        flow = pf.systems.NSF(features=2, layers=2, hidden=32, bound=3.0, base=base).build()
        pf.fit(flow, x, validation=0.1, epochs=1 if quick else 30, lr=2e-2, schedule="cosine", progress=False)
        with torch.no_grad():
            score = float(flow.log_prob(test[:20_000]).mean())
            drawn = flow.sample(400 if quick else 100_000)
        panel.loglog(
            thresholds,
            exceedance(drawn, thresholds),
            color=colour,
            lw=2,
            label=f"{base} base, held-out {score:.3f} nats",
        )
    panel.set(xlabel="threshold", ylabel="share of values beyond it", ylim=(1e-5, 1))
    panel.legend(frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


def exceedance(x: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Return the share of values of the second column whose size is above each threshold."""
    return (x[:, 1].abs()[:, None] > thresholds).double().mean(0)


if __name__ == "__main__":
    main(Path("heavy_tails.png"))
