"""What mixes the channels before Glow's couplings: 1 x 1 convolutions against a fixed shuffle and a reversal, on digits.

Kingma and Dhariwal 2018 (arXiv:1807.03039, section 6.1) train the same model with each for the same number of steps on CIFAR-10,
and find the 1 x 1 convolution best and the reversal worst.
"""

from __future__ import annotations

import argparse
import time

import torch
from common import mean_and_spread, table, write
from pictures import LEVELS, digits, score, train

from pushforward.systems import Glow

MIXINGS = ("lu", "full", "orthogonal", "shuffle", "reverse")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    parts = digits()
    rows = []
    for mixing in MIXINGS:
        found = []
        for seed in range(options.seeds):
            spec = Glow(
                shape=(1, 8, 8),
                levels=LEVELS,
                scales=1,
                steps=8,
                hidden=32,
                mixing=mixing,
                preprocess="logit-one-sided",
            )
            model = train(spec, parts, seed, epochs=options.epochs)
            found.append((score(model, parts[0], 4).value, score(model, parts[2], 4).value))
            print(mixing, seed, *(f"{value:.4f}" for value in found[-1]), f"{time.time() - started:.0f} s", flush=True)
        rows.append([mixing, *(mean_and_spread([f[i] for f in found]) for i in range(2))])
    body = (
        f"Bits per dimension, at most (4 draws of noise), after {options.epochs} epochs, {options.seeds} seeds, mean ± deviation.\n\n"
        + table(["mixing of the channels", "training digits", "test digits"], rows)
    )
    write("mixing", "1 x 1 convolutions, shuffles and reversals", body, started)


if __name__ == "__main__":
    main()
