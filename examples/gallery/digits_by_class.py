"""Samples of handwritten digits by class, beside real ones."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.evaluation import bits_per_dimension, draw


def main(out: Path, *, quick: bool = False) -> None:
    """Fit a RealNVP that is given the label, and draw a grid of its samples."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = load_digits()
    x, y = torch.tensor(table.images[:, None]).float(), torch.tensor(table.target)
    given = torch.nn.functional.one_hot(y).float()
    test = slice(1500, None)
    flow = pf.systems.ImageRealNVP(shape=(1, 8, 8), levels=17, classes=10, hidden=24, blocks=1, dropout=0.1).build()
    pf.fit(
        flow,
        x[:1500],
        context=given[:1500],
        epochs=40,
        max_steps=1 if quick else None,
        batch_size=64,
        lr=3e-3,
        clip=320.0,
        schedule="cosine",
        progress=False,
    )
    bits = bits_per_dimension(flow, x[test][: 10 if quick else None], given[test][: 10 if quick else None])
    rows = 2 if quick else 8
    samples = draw(flow, 10 * rows, torch.eye(10).repeat(rows, 1), temperature=0.8)

    real = np.stack([table.images[:1500][table.target[:1500] == k][:rows] for k in range(10)], 1)
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.06})
    left.imshow(tiled(torch.tensor(real).flatten(0, 1)), cmap="gray_r")
    left.set_title("real digits")
    right.imshow(tiled(samples[:, 0]), cmap="gray_r")
    right.set_title(f"samples, {bits.value:.2f} bits per dimension")
    for panel in (left, right):
        panel.set_axis_off()
    figure.savefig(out, dpi=100)


def tiled(pictures: torch.Tensor) -> torch.Tensor:
    """Return one picture of all pictures, ten in a row, with a gap between them."""
    padded = torch.nn.functional.pad(pictures.float(), (1, 1, 1, 1))
    return padded.unflatten(0, (-1, 10)).permute(0, 2, 1, 3).flatten(2, 3).flatten(0, 1)


if __name__ == "__main__":
    main(Path("digits_by_class.png"))
