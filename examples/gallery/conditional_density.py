"""The density of disease progression given body mass index: the whole distribution of an answer, not its mean."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes

import pushforward as pf


def main(out: Path, *, quick: bool = False) -> None:
    """Fit p(y | x) to scikit-learn's diabetes data and draw it for all x and for three of them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = load_diabetes(scaled=False)
    bmi, y = torch.tensor(table.data[:, 2:3]).float(), torch.tensor(table.target[:, None]).float()
    mean, deviation = y.mean(), y.std()
    given = (bmi - bmi.mean()) / bmi.std()
    flow = pf.build("flow-matching", features=1, context=1, hidden=(32, 32))
    pf.fit(
        flow,
        (y - mean) / deviation,
        context=given,
        validation=0.2,
        epochs=1 if quick else 400,
        patience=100,
        batch_size=64,
        lr=3e-3,
        progress=False,
    )

    n = 15 if quick else 200
    u, v = torch.linspace(18, 40, n), torch.linspace(0, 380, n)
    with torch.no_grad():
        context = ((u - bmi.mean()) / bmi.std()).repeat_interleave(n)[:, None]
        density = flow.log_prob(((v - mean) / deviation).repeat(n)[:, None], context).exp().reshape(n, n) / deviation

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(density.T, origin="lower", extent=(18, 40, 0, 380), aspect="auto", cmap="Blues")
    left.scatter(bmi, y, s=5, color="#D55E00", linewidths=0)
    left.set(xlabel="body mass index", ylabel="progression after a year", xlim=(18, 40), ylim=(0, 380))
    for value, colour in ((21, "#56B4E9"), (27, "#0072B2"), (34, "#D55E00")):
        curve = density[int((u - value).abs().argmin())]
        right.plot(v, curve, color=colour, lw=2, label=f"body mass index {value}")
        right.fill_between(v, curve, color=colour, alpha=0.12)
    right.set(xlabel="progression after a year", ylabel="density", ylim=(0, None), xlim=(0, 380))
    right.legend(frameon=False)
    right.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("conditional_density.png"))
