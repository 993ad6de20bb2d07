"""Pictures given pictures: colours given lightness, large given small, one half given the other, vessels given photographs.

Colours are a and b in Lab, given L; the baseline is a linear regression with a full covariance of its errors. Large pictures
are given their means over blocks of 2 x 2; the baselines are the same flow without the condition, and logistic distributions
of all pixels, rounded to levels and independent given the condition. Bits of one half of the digits, given the other half, have
an exact reference (MADE). Vessels of the retina are bits as well, given the photograph.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from common import HERE, data, keep, known, mean_and_spread, table, write
from pictures import context_of, digits, levels_of, score, train
from torch import Tensor, nn
from torch.nn import functional as F

from pushforward.core import Flow, Identity, Integers, Real
from pushforward.distributions import ConditionalLogistic
from pushforward.evaluation import draw, log_likelihoods
from pushforward.networks import ResNet
from pushforward.pictures import ImageSet, condition_from, load_dataset, write_images
from pushforward.pictures.lab import from_lab
from pushforward.pictures.picture_sets import adapted
from pushforward.systems import CINN, MADE, ConditionalImage
from pushforward.training import fit

NAME = "conditional_pictures"
DRAWS = 8
"""Number of draws of vessels whose mean is compared with the truth."""
Parts = tuple[ImageSet, ImageSet, ImageSet]
HALF_INFINITE = {"half-infinite": True, "unit interval": False}


def given(parts: Parts, text: str) -> Parts:
    """The parts with a condition."""
    rule = condition_from(text)
    first, second, third = (rule.split(part) for part in parts)
    return first, second, third


def small_pictures(size: int) -> Parts:
    """Photographs of CIFAR-10 at a size: 3000 to train, 500 to validate, 500 to test."""
    found = adapted(load_dataset("cifar10-4k"), size, None)
    if found.valid is None or found.test is None:
        raise SystemExit("expected pictures with three parts")
    return found.train, found.valid, found.test


def regression_bits(parts: Parts) -> float:
    """Bits per dimension of a linear regression with a full covariance of its errors; the ridge is chosen by validation."""
    rng = np.random.default_rng(0)
    x = [part.given.images.reshape(len(part), -1) / 127.5 - 1 for part in parts]  # type: ignore[union-attr]
    y = [part.images.reshape(len(part), -1) + rng.random((len(part), part.images[0].size)) for part in parts]
    x = [np.concatenate([a, np.ones((len(a), 1))], 1) for a in x]
    best: tuple[float, float] = (np.inf, np.inf)
    for ridge in (1.0, 10.0, 100.0, 1000.0):
        weights = np.linalg.solve(x[0].T @ x[0] + ridge * np.eye(x[0].shape[1]), x[0].T @ y[0])
        errors = [b - a @ weights for a, b in zip(x, y, strict=True)]
        for floor in (1.0, 3.0, 10.0, 30.0):
            covariance = errors[0].T @ errors[0] / len(errors[0]) + floor * np.eye(y[0].shape[1])
            root = np.linalg.cholesky(covariance)
            scores = []
            for error in errors[1:]:
                u = np.linalg.solve(root, error.T)
                nats = 0.5 * (u**2).sum(0).mean() + np.log(np.diag(root)).sum() + 0.5 * len(root) * np.log(2 * np.pi)
                scores.append(nats / len(root) / np.log(2))
            best = min(best, (scores[0], scores[1]))
    return best[1]


class Independent(nn.Module):
    """Means and scales of all pixels, by a residual network of the condition, enlarged to their size."""

    def __init__(self, condition: tuple[int, ...], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.condition, self.size = condition, shape[1:]
        self.net = ResNet(condition[0], 2 * shape[0], hidden=48, blocks=4)

    def forward(self, context: Tensor) -> Tensor:
        """Parameters (B, 2 C, H, W) for a flattened condition."""
        return self.net(F.interpolate(context.reshape(-1, *self.condition), size=self.size))


def independent_bits(parts: Parts, seed: int, epochs: int) -> float:
    """Bits per dimension of rounded logistic distributions that are independent given the condition."""
    torch.manual_seed(seed)
    condition, shape, levels = parts[0].given.shape, parts[0].shape, parts[0].levels  # type: ignore[union-attr]
    size = int(np.prod(condition))
    base = ConditionalLogistic(shape, size, levels=levels, net=Independent(condition, shape))
    model = Flow(Identity(Integers(shape, 0, levels - 1)), base, embed=nn.Flatten(), context=Real(condition))
    rows = [(levels_of(part), context_of(part, labels=False)) for part in parts[:2]]
    settings = {"lr": 2e-3, "batch_size": 100, "schedule": "cosine", "patience": 0, "progress": False}
    fit(model, rows[0][0], context=rows[0][1], validation=rows[1], seed=seed, epochs=epochs, **settings)  # type: ignore[arg-type]
    return score(model, parts[2]).value  # type: ignore[arg-type]


def colours(seed: int, epochs: int) -> dict[str, float]:
    """Colours of 16 x 16 photographs given their lightness."""
    parts = given(small_pictures(16), "lightness")
    spec = CINN(
        shape=(2, 16, 16), condition=(1, 16, 16), steps=4, hidden=48, dense=4, width=128, condition_channels=24,
        preprocess="centre", dropout=0.2,
    )  # fmt: skip
    model = train(spec, parts, seed, epochs=epochs, lr=1e-3)
    found = {"one": score(model, parts[2]).value, "many": score(model, parts[2], 16).value}
    shown = parts[2].take(slice(8))
    strips, drawn = [np.repeat(shown.given.images, 3, 1)], []  # type: ignore[union-attr]
    torch.manual_seed(seed)
    for _ in range(6):
        x = draw(model, len(shown), context_of(shown, labels=False)).clamp(0, 255).numpy().astype(np.uint8)
        drawn.append(x)
        strips.append(from_lab(shown.given.images, x))  # type: ignore[union-attr]
    strips.append(from_lab(shown.given.images, shown.images))  # type: ignore[union-attr]
    grid = np.stack(strips, 1).reshape(-1, 3, 16, 16)
    write_images(HERE / "results" / "colours.png", grid, 256, columns=len(strips))
    found["spread"] = float(np.stack(drawn).astype(float).std(0).mean())
    return found | {"baseline": regression_bits(parts)}


def larger(parts: Parts, seed: int, epochs: int, **fields: Any) -> dict[str, float]:
    """Pictures given smaller ones, beside the flow without them and independent logistic distributions."""
    found = {}
    for name, pieces in {"given": given(parts, "smaller:2"), "alone": parts}.items():
        condition = () if pieces[0].given is None else pieces[0].given.shape
        spec = ConditionalImage(shape=parts[0].shape, levels=parts[0].levels, condition=condition, **fields)
        model = train(spec, pieces, seed, epochs=epochs)
        found[name], found[f"{name}, 16 draws"] = (score(model, pieces[2], samples).value for samples in (1, 16))
    return found | {"independent": independent_bits(given(parts, "smaller:2"), seed, epochs)}


def larger_digits(seed: int, epochs: int) -> dict[str, float]:
    """Digits of 8 x 8 given 4 x 4."""
    return larger(digits(), seed, epochs, scales=2, steps=3, hidden=24, blocks=1, dropout=0.1, noise_hidden=16,
                  noise_blocks=1, noise_couplings=2, condition_channels=16)  # fmt: skip


def larger_photographs(seed: int, epochs: int) -> dict[str, float]:
    """Photographs of 16 x 16 given 8 x 8."""
    return larger(small_pictures(16), seed, epochs, scales=2, steps=3, hidden=32, blocks=1, noise_hidden=16,
                  noise_blocks=1, noise_couplings=2, condition_channels=24, preprocess="centre")  # fmt: skip


def halves(seed: int, epochs: int) -> dict[str, float]:
    """Bits of the upper half of the digits given the lower half; MADE is exact."""
    bits = [replace(part, images=(part.images >= 8).astype(np.uint8), levels=2) for part in digits()]
    parts = given((bits[0], bits[1], bits[2]), "bottom")
    found = {}
    for name, half_infinite in HALF_INFINITE.items():
        for kind in ("variational", "fixed"):
            spec = ConditionalImage(
                shape=(1, 4, 8), levels=2, condition=(1, 4, 8), scales=1, steps=6, hidden=24, blocks=1, dropout=0.1,
                noise_hidden=16, noise_blocks=1, noise_couplings=2, condition_channels=16, half_infinite=half_infinite,
                dequantise=kind, alpha=0.05,
            )  # fmt: skip
            model = train(spec, parts, seed, epochs=epochs)
            found[f"{name}, {kind}"] = score(model, parts[2]).value
            found[f"{name}, {kind}, 64 draws"] = score(model, parts[2], 64).value
    torch.manual_seed(seed)
    made = MADE(features=32, labels=(2,) * 32, context=32, hidden=(128,), direct=True, dropout=0.4).build()
    flat = [(levels_of(p).flatten(1).long(), context_of(p, labels=False).flatten(1)) for p in parts]  # type: ignore[union-attr]
    settings = {"lr": 2e-3, "batch_size": 100, "schedule": "cosine", "patience": 0, "progress": False}
    fit(made, flat[0][0], context=flat[0][1], validation=flat[1], seed=seed, epochs=epochs, **settings)  # type: ignore[arg-type]
    nats = log_likelihoods(made, *flat[2])
    return found | {"MADE": float(-nats.mean() / 32 / np.log(2))}


def retina() -> tuple[Parts, Parts]:
    """Patches of 32 x 32: vessels as bits, given photographs; 15 eyes to train and 5 to validate. And those of 20 other eyes."""
    found, rng = data("drive_half.npz"), np.random.default_rng(0)
    eyes = {}
    for part in ("train", "test"):
        photographs = found[f"{part}_image_half"].transpose(0, 3, 1, 2)
        bits = np.unpackbits(found[f"{part}_vessel_half"], axis=-1)[..., : photographs.shape[3]][:, None]
        eyes[part] = photographs, bits

    def patches(part: str, numbers: range, count: int | None) -> ImageSet:
        photographs, bits = eyes[part]
        height, width = bits.shape[2:]
        if count is None:
            corners = [(i, r, c) for i in numbers for r in range(0, height - 31, 32) for c in range(0, width - 31, 32)]
        else:
            corners = [(rng.choice(numbers), rng.integers(height - 31), rng.integers(width - 31)) for _ in range(count)]
        cut = [np.stack([a[i, :, r : r + 32, c : c + 32] for i, r, c in corners]) for a in (bits, photographs)]
        return ImageSet(cut[0], 2, given=ImageSet(np.ascontiguousarray(cut[1])))

    train_part, valid = patches("train", range(15), 3000), patches("train", range(15, 20), None)
    return (train_part, valid, valid), (train_part, valid, patches("test", range(20), None))


def vessels(seed: int, epochs: int) -> dict[str, float]:
    """Vessels given photographs: bits per dimension of both noises, and the overlap of the mean of draws with the truth."""
    _, parts = retina()
    found = {}
    for name, half_infinite in HALF_INFINITE.items():
        spec = ConditionalImage(
            shape=(1, 32, 32), levels=2, condition=(3, 32, 32), scales=2, steps=3, hidden=24, blocks=1, noise_hidden=12,
            noise_blocks=1, noise_couplings=2, condition_channels=24, half_infinite=half_infinite, alpha=0.05,
        )  # fmt: skip
        model = train(spec, parts, seed, epochs=epochs, batch_size=64)
        found[name] = score(model, parts[2]).value
        torch.manual_seed(seed)
        chances = []
        for part in (parts[1], parts[2]):
            context = context_of(part, labels=False)
            means = [torch.stack([draw(model, len(c), c) for _ in range(DRAWS)]).mean(0) for c in context.split(256)]  # type: ignore[union-attr]
            chances.append((torch.cat(means).numpy(), part.images))
        cut = max(np.arange(1, DRAWS) / DRAWS, key=lambda level: dice(*chances[0], level))
        found[f"{name}, Dice"] = dice(*chances[1], cut)
    share = parts[0].images.mean()
    found["one probability"] = float(-(share * np.log2(share) + (1 - share) * np.log2(1 - share)))
    return found


def dice(chances: np.ndarray, truth: np.ndarray, cut: float) -> float:
    """Overlap 2 |A and B| / (|A| + |B|) of the positions whose chance is at least the cut with the true ones."""
    found = chances >= cut
    return float(2 * (found & (truth == 1)).sum() / (found.sum() + truth.sum()))


TASKS: dict[str, tuple[Callable[[int, int], dict[str, float]], int, str]] = {
    "colours": (colours, 25, "colours of 16 x 16 photographs given their lightness"),
    "larger digits": (larger_digits, 80, "digits of 8 x 8 given 4 x 4"),
    "larger photographs": (larger_photographs, 12, "photographs of 16 x 16 given 8 x 8"),
    "halves": (halves, 60, "bits of the upper half of the digits given the lower half"),
    "vessels": (vessels, 10, "vessels of the retina given photographs, patches of 32 x 32"),
}


def main() -> None:
    """Train, score and print the table of all that was ever run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--only", nargs="*", choices=list(TASKS), default=list(TASKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for name in options.only:
        run, epochs, _ = TASKS[name]
        for seed in options.seeds:
            begin = time.process_time()
            found = run(seed, epochs)
            found["seconds"] = time.process_time() - begin
            print(name, seed, found, flush=True)
            keep(NAME, name, str(seed), value=found)
    rows = []
    for name, seeds in known(NAME).items():
        runs = list(seeds.values())
        for key in runs[0]:
            if key != "seconds":
                rows.append([f"{name}: {key}", mean_and_spread([r[key] for r in runs]), str(len(runs))])
        rows.append([f"{name}: CPU-seconds", f"{np.mean([r['seconds'] for r in runs]):.0f}", ""])
    body = (
        "Test bits per dimension, except where the row says otherwise. The tasks are "
        + "; ".join(f"{name}: {text}" for name, (_, _, text) in TASKS.items())
        + '. "spread" is the deviation between colours of one picture, in units of a and b.\n\n'
        + table(["task and model", "test", "seeds"], rows)
        + "\n\n![colours drawn given lightness](results/colours.png)"
    )
    write(NAME, "Pictures given pictures", body, started)


if __name__ == "__main__":
    main()
