"""Classification with one Gaussian for each class behind a flow, on two columns of the wine data."""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

import pushforward as pf

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "own_systems"))

from flow_gmm import FlowGMM

COLOURS = ("#0072B2", "#D55E00", "#009E73")


def main(out: Path, *, quick: bool = False) -> None:
    """Fit p(x | class), and draw the regions of the classes and the latent codes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = load_wine()
    columns = [table.feature_names.index(name) for name in ("flavanoids", "color_intensity")]
    x, y = torch.tensor(table.data[:, columns]).float(), torch.tensor(table.target)
    x[:, 1] = x[:, 1].log()
    train, test = train_test_split(torch.arange(len(x)), test_size=0.3, random_state=0, stratify=y)
    z = (x - x[train].mean(0)) / x[train].std(0)
    flow = FlowGMM(features=2, classes=3, layers=6, hidden=(32,)).build()
    pf.fit(
        flow,
        z[train],
        context=y[train],
        epochs=2 if quick else 500,
        batch_size=32,
        lr=5e-3,
        schedule="cosine",
        patience=0,
        progress=False,
    )

    with torch.no_grad():
        right = (scores(flow, z[test]).argmax(1) == y[test]).float().mean()
        axis = torch.linspace(-2.6, 3.2, 40 if quick else 250)
        regions = scores(flow, torch.cartesian_prod(axis, axis)).softmax(1).reshape(len(axis), len(axis), 3)
        codes = flow.encode(z, y)
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, latent = figure.subplots(1, 2)
    colours = torch.tensor([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLOURS])
    left.imshow(1 - 0.45 * (1 - regions.transpose(0, 1) @ colours), origin="lower", extent=(-2.6, 3.2, -2.6, 3.2))
    for k, colour in enumerate(COLOURS):
        left.scatter(*z[y == k].T, s=9, color=colour, edgecolors="white", linewidths=0.3)
        latent.scatter(*codes[y == k].T, s=9, color=colour, label=str(table.target_names[k]).replace("_", " "))
    left.set(
        xlabel="flavanoids, standardised",
        ylabel="log colour intensity, standardised",
        xlim=(-2.6, 3.2),
        ylim=(-2.6, 3.2),
    )
    left.set_title(f"classes by Bayes' rule, {right:.0%} of {len(test)} test wines right")
    latent.set_title("latent codes")
    latent.legend(frameon=False)
    figure.savefig(out, dpi=100)


def scores(flow: pf.Flow, x: torch.Tensor) -> torch.Tensor:
    """Return log p(x | class) for each class, (N, 3)."""
    return torch.stack([flow.log_prob(x, torch.full((len(x),), k)) for k in range(3)], 1)


if __name__ == "__main__":
    main(Path("flow_gmm.png"))
