"""Digits by class: a RealNVP that is given the label, and an independent classifier's opinion of its samples.

The classifier, a support vector machine, has learned the real training and validation digits. A sample counts when it says the
label that was asked for. Classification by the flow itself is by the largest p(x | label), the labels being equally frequent.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import HERE, keep, known, mean_and_spread, table, write
from pictures import LEVELS, classifier, digits, levels_of, score, train

from pushforward.evaluation import draw, log_likelihoods
from pushforward.pictures import write_images
from pushforward.systems import CINN, ImageRealNVP
from pushforward.systems.spec import Spec

TEMPERATURES = (1.0, 0.8, 0.6)
SHAPE = {"shape": (1, 8, 8), "levels": LEVELS}


def specs(classes: int) -> dict[str, Spec]:
    """The models, given a label or not."""
    return {
        "RealNVP": ImageRealNVP(**SHAPE, classes=classes, hidden=24, blocks=1, dropout=0.1),
        "cINN": CINN(**SHAPE, classes=classes, resolutions=0, dense=10, width=128, dropout=0.3),
    }


def main() -> None:
    """Print the table, and draw samples of every class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--only", nargs="*", choices=list(specs(10)), default=list(specs(10)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    parts = digits()
    judge = classifier()
    real = judge.score(parts[2].images.reshape(len(parts[2]), -1), parts[2].labels()[0])
    asked = np.repeat(np.arange(10), 100)
    for name in options.only:
        for seed in range(options.seeds):
            model = train(specs(10)[name], parts, seed, labels=True, epochs=options.epochs)
            given = torch.nn.functional.one_hot(torch.as_tensor(asked), 10).float()
            agree = []
            for temperature in TEMPERATURES:
                torch.manual_seed(seed)
                x = draw(model, len(asked), given, temperature=temperature)
                agree.append(float((judge.predict(x.flatten(1).numpy()) == asked).mean()))
            x, labels = levels_of(parts[2]), parts[2].labels()[0]
            each = [log_likelihoods(model, x, torch.eye(10)[[c] * len(x)], samples=16) for c in range(10)]
            right = float((torch.stack(each).argmax(0).numpy() == labels).mean())
            alone = train(specs(0)[name], parts, seed, epochs=options.epochs)
            found = [score(model, parts[2], labels=True).value, score(alone, parts[2]).value, right, *agree]
            print(name, seed, *(f"{value:.4f}" for value in found), f"{time.time() - started:.0f} s", flush=True)
            keep("labels", name, str(seed), value=found)
        torch.manual_seed(0)
        grid = draw(model, 100, torch.eye(10)[torch.arange(100) % 10], temperature=0.8)
        path = HERE / "results" / ("labels.png" if name == "RealNVP" else f"labels_{name.lower()}.png")
        write_images(path, grid.numpy().astype(np.uint8), LEVELS, columns=10)
    head = [
        "model",
        "bits/dim, at most",
        "without labels",
        "classified by the flow",
        *(f"samples, temperature {t:g}" for t in TEMPERATURES),
    ]
    rows = [
        [name, *(mean_and_spread([run[i] for run in seeds.values()]) for i in range(len(head) - 1))]
        for name, seeds in known("labels").items()
    ]
    body = (
        f"Test digits, mean ± deviation of the seeds: bits per dimension given the label, and those of the same model without labels; share of test digits whose label "
        f"is the one of largest likelihood; share of 1000 samples on which the classifier (right on {real:.3f} of the real test "
        "digits) says the label asked for.\n\n" + table(head, rows) + "\n\n![samples by class](results/labels.png)"
    )
    write("labels", "Digits by class", body, started)


if __name__ == "__main__":
    main()
