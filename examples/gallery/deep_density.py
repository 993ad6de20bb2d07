"""A deep density model of nines beside sixes, sixes upside down and corrupted nines, and its latent variables."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.core import Box, Chain, Flow
from pushforward.transforms import Logit

COLOURS = ("black", "#0072B2", "#009E73", "#D55E00")


def main(out: Path, *, quick: bool = False) -> None:
    """Train on two thirds of the nines, and draw densities and marginals of the others."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    digits = load_digits()
    x, label = torch.tensor(digits.data).float() / 16, torch.tensor(digits.target)
    nines, sixes = x[label == 9], x[label == 6]
    nines = nines[torch.randperm(len(nines))]
    spec = pf.systems.RippelAdams(features=64)
    part = spec.build()
    model = Flow(Chain(Logit(Box((64,)), 0.02), part.chain), part.base)
    steps = 5 if quick else 3000
    options = {"batch_size": 120, "lr": 2e-3, "schedule": "cosine", "ema": 0.0, "progress": False}
    pf.fit(model, nines[:120], validation=None, objective=spec.loss(model), max_steps=steps, **options)

    held = nines[120:]
    corrupted = torch.where(torch.rand_like(held) < 0.25, torch.rand_like(held), held)
    sets = {"held-out nines": held, "sixes, turned": sixes.flip(1), "sixes": sixes, "a quarter replaced": corrupted}
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.1, 1.6, 1.3))
    for panel, row in zip(left.subplots(4, 4).flat, torch.cat([rows[:4] for rows in sets.values()]), strict=True):
        panel.imshow(row.view(8, 8), cmap="gray_r", vmin=0, vmax=1)
        panel.axis("off")
    panel = middle.subplots()
    with torch.no_grad():
        for (name, rows), colour in zip(sets.items(), COLOURS, strict=True):
            score = model.double().log_prob(rows.double()).sort().values
            panel.plot(score, torch.arange(1, len(score) + 1) / len(score), color=colour, lw=2, label=name)
        front = model.chain[0](held.double())[0]
        codes = {"encoder": model.chain[1].encode(front), "inverse of the decoder": model.chain[1](front)[0]}
    panel.set_xscale("symlog", linthresh=100)
    panel.set(xlabel="log-density in nats", title="share of pictures below")
    panel.legend(fontsize=8, frameon=False)
    panel = right.subplots()
    for (name, u), colour in zip(codes.items(), COLOURS[1:], strict=False):
        panel.hist(
            u.sigmoid().flatten().numpy(),
            40,
            range=(0, 1),
            density=True,
            histtype="step",
            color=colour,
            lw=2,
            label=name,
        )
    z = torch.linspace(0, 1, 200)
    panel.plot(z, 6 * z * (1 - z), color="black", lw=1, label="Beta(2, 2)")
    panel.set(title="latent variables of held-out nines", ylim=(0, 4))
    panel.legend(fontsize=8, frameon=False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("deep_density.png"))
