"""Density of each class from one conditional flow, and the boundary between the classes by Bayes' rule."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import pushforward as pf

COLOURS = ("#0072B2", "#D55E00")


def main(out: Path, *, quick: bool = False) -> None:
    """Fit p(x | class) and draw both densities and the probability of the second class."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    points, labels = make_moons(400 if quick else 5000, noise=0.12, random_state=0)
    x, y = torch.tensor(points).float(), torch.tensor(labels)
    flow = pf.systems.NSF(features=2, classes=2, layers=2, hidden=32, bound=4.0).build()
    pf.fit(flow, x, context=y, validation=0.1, epochs=1 if quick else 40, lr=3e-3, schedule="cosine", progress=False)

    n = 30 if quick else 250
    u, v = torch.linspace(-1.8, 2.8, n), torch.linspace(-1.2, 1.7, n)
    grid = torch.cartesian_prod(u, v)
    with torch.no_grad():
        logs = [flow.log_prob(grid, torch.full((len(grid),), k)).reshape(n, n).T for k in (0, 1)]

    figure = Figure(figsize=(9, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(("Blues", "Oranges")):
        left.contourf(u, v, logs[k].exp(), levels=torch.linspace(0.06, 1.1, 9), cmap=name, alpha=0.85, extend="max")
    left.set_title("density given the class")
    probability = torch.where(torch.logaddexp(*logs) > -6, (logs[1] - logs[0]).sigmoid(), torch.nan)
    right.contourf(u, v, probability, levels=torch.linspace(0, 1, 21), cmap="RdBu_r", alpha=0.7)
    right.contour(u, v, probability, levels=[0.5], colors="black", linewidths=1)
    for k in (0, 1):
        right.scatter(*x[y == k][:250].T, s=4, color=COLOURS[k])
    right.set_title("probability of the orange class, where there are data")
    for panel in (left, right):
        panel.set(xlim=(-1.8, 2.8), ylim=(-1.2, 1.7), xticks=[], yticks=[], aspect="equal")
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("two_moons.png"))
