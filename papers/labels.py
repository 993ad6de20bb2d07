"""Digits by class: a RealNVP that is given the label, and an independent classifier's opinion of its samples.

The classifier, a support vector machine, has learned the real training and validation digits. A sample counts when it says the
label that was asked for. Classification by the flow itself is by the largest p(x | label), the labels being equally frequent.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import HERE, mean_and_spread, table, write
from pictures import LEVELS, classifier, digits, levels_of, one_hot, score, train

from pushforward.evaluation import draw, log_likelihoods
from pushforward.pictures import write_images
from pushforward.systems import ImageRealNVP

TEMPERATURES = (1.0, 0.8, 0.6)


def main() -> None:
    """Print the table, and draw samples of every class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=120)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    parts = digits()
    judge = classifier()
    real = judge.score(parts[2].images.reshape(len(parts[2]), -1), parts[2].labels()[0])
    asked = np.repeat(np.arange(10), 100)
    found = []
    for seed in range(options.seeds):
        spec = ImageRealNVP(shape=(1, 8, 8), levels=LEVELS, classes=10, hidden=24, blocks=1, dropout=0.1)
        model = train(spec, parts, seed, labels=True, epochs=options.epochs)
        given = torch.nn.functional.one_hot(torch.as_tensor(asked), 10).float()
        agree = []
        for temperature in TEMPERATURES:
            torch.manual_seed(seed)
            x = draw(model, len(asked), given, temperature=temperature)
            agree.append(float((judge.predict(x.flatten(1).numpy()) == asked).mean()))
        x, labels = levels_of(parts[2]), parts[2].labels()[0]
        each = [log_likelihoods(model, x, torch.eye(10)[[c] * len(x)], samples=16) for c in range(10)]
        right = float((torch.stack(each).argmax(0).numpy() == labels).mean())
        found.append([score(model, parts[2], labels=True).value, right, *agree])
        print(seed, *(f"{value:.4f}" for value in found[-1]), f"{time.time() - started:.0f} s", flush=True)
    torch.manual_seed(0)
    grid = draw(model, 100, one_hot(parts[0])[:1].new_tensor(np.eye(10)[np.tile(np.arange(10), 10)]), temperature=0.8)
    write_images(HERE / "results" / "labels.png", grid.numpy().astype(np.uint8), LEVELS, columns=10)
    head = [
        "model",
        "bits/dim, at most",
        "classified by the flow",
        *(f"samples, temperature {t:g}" for t in TEMPERATURES),
    ]
    body = (
        f"Test digits, {options.seeds} seeds, mean ± deviation: bits per dimension given the label; share of test digits whose label "
        f"is the one of largest likelihood; share of 1000 samples on which the classifier (right on {real:.3f} of the real test "
        "digits) says the label asked for.\n\n"
        + table(head, [["RealNVP", *(mean_and_spread(list(c)) for c in zip(*found, strict=True))]])
        + "\n\n![samples by class](results/labels.png)"
    )
    write("labels", "Digits by class", body, started)


if __name__ == "__main__":
    main()
