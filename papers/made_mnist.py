"""MADE on dynamically binarised MNIST: every pixel is drawn anew from its brightness whenever a picture is seen.

The test pictures are drawn once. Numbers on the fixed binarisation of Larochelle (88.40 for MADE with one layer, Germain et al.
2015, table 6) are not comparable; a public implementation reaches 84.87 with dynamic binarisation and long training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch
from common import data, table, write
from torch import Tensor

import pushforward as pf


class Binarised:
    """Batches of pictures whose bits are drawn anew in every epoch.

    Args:
        pictures: brightness in [0, 1], (N, D).
        size: pictures in a batch.
    """

    def __init__(self, pictures: Tensor, size: int) -> None:
        self.pictures, self.size = pictures, size

    def __len__(self) -> int:
        return len(self.pictures) // self.size

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.randperm(len(self.pictures))
        for i in range(len(self)):
            grey = self.pictures[order[i * self.size : (i + 1) * self.size]]
            yield (torch.rand_like(grey) < grey).long()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--hidden", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    z = data("mnist.npz")
    grey = {
        k: torch.as_tensor(z[f"{k}_x"].reshape(len(z[f"{k}_x"]), -1)).float() / 255 for k in ("train", "valid", "test")
    }
    torch.manual_seed(0)
    bits = {k: (torch.rand_like(v) < v).long() for k, v in grey.items()}
    p = grey["train"].double().mean(0).clamp(1e-4, 1 - 1e-4)
    independent = -(bits["test"] * p.log() + (1 - bits["test"]) * torch.log1p(-p)).sum(1).mean()
    torch.manual_seed(0)
    model = pf.systems.MADE(features=784, labels=(2,) * 784, hidden=(options.hidden,), direct=True).build()
    model.init_from(bits["train"])
    result = pf.fit(
        model,
        Binarised(grey["train"], 200),
        validation=(bits["valid"], None),
        lr=2e-3,
        epochs=200,
        patience=20,
        ema=0.999,
        max_seconds=60 * options.minutes,
        progress=False,
        initialise=False,
    )
    nll = -pf.training.evaluate(model, bits["test"], batch_size=500).double()
    picks = np.unique(np.geomspace(1, len(result.history), 8).astype(int)) - 1
    curve = ", ".join(f"{-result.history[i]['validation']:.1f} (epoch {i + 1})" for i in picks)
    rows = [
        ["independent bits", "", f"{float(independent):.2f}", ""],
        [
            f"MADE, 1 x {options.hidden} hidden, direct connections",
            f"{result.epochs}",
            f"{float(nll.mean()):.2f} ± {float(nll.std() / len(nll) ** 0.5):.2f}",
            curve,
        ],
    ]
    body = (
        f"Test negative log-likelihood in nats of 10,000 pictures binarised once; trained {options.minutes:g} minutes on one "
        "thread.\n\n" + table(["model", "epochs", "test NLL", "validation NLL"], rows)
    )
    write("made_mnist", "MADE on dynamically binarised MNIST", body, started)


if __name__ == "__main__":
    main()
