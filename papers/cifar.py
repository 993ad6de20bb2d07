"""CIFAR-10, 4000 of its pictures: that every convolutional system learns on colour pictures of 32 x 32, for a few minutes each.

The files at hand are the first 4000 training pictures only, 3000 of them to train on, so that no number here stands beside a
published one (Glow 3.35 bits/dim after days on GPUs); the rows to compare with are on the same pictures.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from common import data, table, write

import pushforward as pf
from pushforward.evaluation import bits_per_dimension
from pushforward.objectives import Flipped, NegativeLogLikelihood
from pushforward.systems import Glow, ImageRealNVP

SHAPE = (3, 32, 32)
SPECS = {
    "Glow": Glow(shape=SHAPE, scales=3, steps=4, hidden=48),
    "RealNVP": ImageRealNVP(shape=SHAPE, scales=2, hidden=24, blocks=1),
}


def independent(train: np.ndarray, test: np.ndarray) -> float:
    """Bits per dimension of one categorical for each channel, with add-one counts."""
    total = 0.0
    for channel in range(3):
        counts = np.bincount(train[..., channel].ravel(), minlength=256) + 1
        total -= np.log2(counts / counts.sum())[test[..., channel]].mean()
    return total / 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    z = data("cifar10_lossless4k.npz")
    x = {
        part: torch.as_tensor(z[f"{part}_x"].transpose(0, 3, 1, 2).astype(np.float32))
        for part in ("train", "valid", "test")
    }
    rows = [["one categorical a channel", "", "", f"{independent(z['train_x'], z['test_x']):.3f} (exact)"]]
    for name, spec in SPECS.items():
        torch.manual_seed(0)
        model = spec.build()
        result = pf.fit(
            model,
            x["train"],
            validation=(x["valid"][:200], None),
            objective=Flipped(NegativeLogLikelihood(model)),
            batch_size=32,
            epochs=1000,
            patience=0,
            max_seconds=60 * options.minutes,
            progress=False,
        )
        first = -result.history[0]["validation"] / (math.prod(SHAPE) * math.log(2))
        test = bits_per_dimension(model, x["test"])
        count = sum(p.numel() for p in model.parameters())
        rows.append([name, f"{count:,}", f"{first:.3f}", f"{test.value:.3f} ± {test.error:.3f}"])
        print(rows[-1], flush=True)
    body = f"Bits per dimension, at most; {options.minutes:g} minutes of training each, mirrored pictures.\n\n" + table(
        ["model", "parameters", "validation after one epoch", "test"], rows
    )
    write("cifar", "CIFAR-10, 4000 pictures", body, started)


if __name__ == "__main__":
    main()
