"""The least likely rows of the wine table, found by a flow and shown in four columns."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_wine

from pushforward import FlowDensity


def main(out: Path, *, quick: bool = False) -> None:
    """Score every wine by a flow that has not seen it, and mark the five least likely ones."""
    torch.set_num_threads(1)
    table = load_wine(as_frame=True).data
    names = ["alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "flavanoids", "color_intensity", "hue"]
    x = table[names].to_numpy()
    scores = np.empty(len(x))
    folds = np.random.default_rng(0).permutation(len(x)) % (2 if quick else 5)
    for fold in range(folds.max() + 1):
        model = FlowDensity("maf", layers=2, hidden=(32,), lr=3e-3, max_iter=1 if quick else 60, random_state=0)
        scores[folds == fold] = model.fit(x[folds != fold]).score_samples(x[folds == fold])
    worst = np.argsort(scores)[:5]

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.hist(scores, bins=60, color="#8a8f98")
    left.set(xlabel="held-out log-density, nats", ylabel="wines")
    for score in scores[worst]:
        left.axvline(score, color="#D55E00", lw=1)
    for panel, (a, b) in ((middle, ("ash", "alcalinity_of_ash")), (right, ("magnesium", "malic_acid"))):
        panel.scatter(table[a], table[b], s=9, color="#0072B2", alpha=0.6, linewidths=0)
        panel.scatter(
            table[a].iloc[worst], table[b].iloc[worst], s=60, facecolors="none", edgecolors="#D55E00", linewidths=1.5
        )
        panel.set(xlabel=a.replace("_", " "), ylabel=b.replace("_", " "))
        for rank, row in enumerate(worst, 1):
            panel.annotate(
                str(rank), (table[a].iloc[row], table[b].iloc[row]), xytext=(5, 5), textcoords="offset points"
            )
    for panel in (left, middle, right):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    main(Path("wine_outliers.png"))
