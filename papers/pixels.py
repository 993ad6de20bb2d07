"""Models of pictures pixel by pixel: PixelCNN, gated PixelCNN, PixelCNN++, Row LSTM and Diagonal BiLSTM.

Binary digits (8 x 8, pixel >= 8) in nats and digits with 17 levels in bits per dimension, all exact; a pixel that depends on the
blind spot of masked convolutions only; digits by class, judged by a classifier; the cost of drawing; binary MNIST.

Van den Oord et al. 2016, arXiv:1601.06759 and arXiv:1606.05328; Salimans et al. 2017, arXiv:1701.05517. Parts can be run one by one
with --only; what was found before is kept in results/pixels.json, and seeds that are in there are not run again.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import HERE, data, keep, known, mean_and_spread, table, write
from pictures import LEVELS, classifier, digits, levels_of, one_hot
from torch import Tensor

import pushforward as pf
from pushforward.core import Distribution, Integers
from pushforward.distributions import AutoregressiveModel, BernoulliFactor
from pushforward.networks import MaskedMLP
from pushforward.pictures import write_images
from pushforward.systems import PixelCNN, PixelRNN

DIGITS = {"shape": (1, 8, 8), "levels": LEVELS}
BITS = {"shape": (1, 8, 8), "levels": 2}
TRAINING: dict[str, Any] = {
    "batch_size": 100,
    "schedule": "cosine",
    "patience": 0,
    "clip": 100.0,
    "weight_decay": 0.3,
    "progress": False,
}
BINARY: dict[str, tuple[pf.Spec, dict[str, Any]]] = {
    "PixelCNN, gated": (
        PixelCNN(**BITS, hidden=16, blocks=7, first_kernel=3, dropout=0.35),
        {"epochs": 120, "lr": 1e-2},
    ),
    "Row LSTM": (
        PixelRNN(**BITS, direction="row", hidden=18, layers=3, kernel=5, first_kernel=3, dropout=0.5),
        {"epochs": 80, "lr": 1e-2},
    ),
    "Diagonal BiLSTM": (
        PixelRNN(**BITS, direction="diagonal", hidden=20, layers=2, first_kernel=3, dropout=0.5),
        {"epochs": 70, "lr": 1e-2},
    ),
    "PixelCNN, masked": (
        PixelCNN(**BITS, network="plain", hidden=24, blocks=3, first_kernel=7, dropout=0.3),
        {"epochs": 100, "lr": 2e-3, "clip": 5.0, "weight_decay": 1e-3},
    ),
}
"""Models of binary digits, and how they are trained."""
GREY_TRAINING = {"epochs": 45, "lr": 5e-3, "clip": 320.0, "weight_decay": 1e-2}
GREY: dict[str, tuple[pf.Spec, dict[str, Any]]] = {
    "gated PixelCNN, softmax": (PixelCNN(**DIGITS, hidden=24, blocks=4, first_kernel=3, dropout=0.2), GREY_TRAINING),
    "PixelCNN++, mixture of logistics": (
        PixelCNN(**DIGITS, factor="logistic", components=5, hidden=24, blocks=4, first_kernel=3, dropout=0.2),
        GREY_TRAINING,
    ),
}
"""Models of digits with 17 levels, and how they are trained."""


def fitted(
    model: Distribution, rows: list[tuple[Tensor, Tensor | None]], seed: int = 0, **options: Any
) -> Distribution:
    """The model after training on the first rows; the weights are those that are best on the second."""
    train, valid = rows[:2]
    settings = {**TRAINING, **options}
    pf.fit(model, train[0], context=train[1], validation=valid, seed=seed, **settings)
    return model.eval()


def built(spec: pf.Spec, seed: int) -> Distribution:
    """A fresh model."""
    torch.manual_seed(seed)
    return spec.build()


def nats(model: Distribution, x: Tensor, context: Tensor | None = None) -> float:
    """Mean negative log-probability of a picture."""
    return -float(pf.training.evaluate(model, x, context=context).double().mean())


def weights(model: Distribution) -> int:
    """Number of weights that are not masked."""
    masked = sum(int((part.mask == 0).sum()) for part in model.modules() if hasattr(part, "mask"))
    return sum(p.numel() for p in model.parameters()) - masked


def bits(part: Any) -> Tensor:
    """Pictures of a part, as ones where a pixel is at least 8."""
    return (levels_of(part) >= 8).float()


def made() -> Distribution:
    """A MADE of the bits."""
    net = MaskedMLP(64, 1, hidden=(500,), dropout=0.5)
    return AutoregressiveModel(Integers((1, 8, 8), 0, 1), BernoulliFactor(), net)


def earlier(*keys: str) -> list[Any]:
    """Results of the seeds that earlier runs have kept, so that a run can go on where another one ended."""
    place: Any = known("pixels")
    for key in keys:
        place = place.get(key, {})
    return list(place.get("found", []))


def binary(seeds: int) -> dict[str, Any]:
    """Binary digits, in nats."""
    parts = digits()
    rows: list[tuple[Tensor, Tensor | None]] = [(bits(part), None) for part in parts[:2]]
    test = bits(parts[2])
    p = (rows[0][0].mean(0) * len(rows[0][0]) + 1) / (len(rows[0][0]) + 2)
    independent = -float((test * p.log() + (1 - test) * torch.log1p(-p)).sum((1, 2, 3)).mean())
    result: dict[str, Any] = {"independent bits": {"weights": 64, "found": [independent]}}
    keep("pixels", "binary", "independent bits", value=result["independent bits"])
    makers: dict[str, tuple[Callable[[], Distribution], dict[str, Any]]] = {
        "MADE, 500 units": (made, {"epochs": 200, "lr": 2e-3, "weight_decay": 1e-3})
    }
    makers |= {name: (spec.build, options) for name, (spec, options) in BINARY.items()}
    for name, (make, options) in makers.items():
        found = earlier("binary", name)
        model = make()  # for its number of weights, where no seed is left to run
        for seed in range(len(found), seeds):
            started = time.time()
            torch.manual_seed(seed)
            model = fitted(make(), rows, seed, **options)
            found.append(nats(model, test))
            print(name, weights(model), f"{found[-1]:.3f} nats, {time.time() - started:.0f} s", flush=True)
            keep("pixels", "binary", name, value={"weights": weights(model), "found": found})
        result[name] = {"weights": weights(model), "found": found}
    return result


def grey(seeds: int) -> dict[str, Any]:
    """Digits with 17 levels, in bits per dimension."""
    parts = digits()
    rows: list[tuple[Tensor, Tensor | None]] = [(levels_of(part), None) for part in parts[:2]]
    result = {}
    for name, (spec, options) in GREY.items():
        found = []
        for seed in range(seeds):
            started = time.time()
            model = fitted(built(spec, seed), rows, seed, **options)
            found.append(nats(model, levels_of(parts[2])) / 64 / math.log(2))
            print(name, weights(model), f"{found[-1]:.4f} bits, {time.time() - started:.0f} s", flush=True)
        result[name] = {"weights": weights(model), "found": found}
    return result


def blind_spot(seeds: int) -> dict[str, Any]:
    """Pictures of 5 x 7 random bits whose pixel (4, 1) equals pixel (3, 5): above it and far to the right."""
    result = {}
    for name, network in {"masked": "plain", "gated": "gated"}.items():
        found = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            x = torch.randint(0, 2, (4000, 1, 5, 7)).float()
            x[:, :, 4, 1] = x[:, :, 3, 5]
            spec = PixelCNN(shape=(1, 5, 7), levels=2, network=network, hidden=16, blocks=3, first_kernel=5)
            model = fitted(
                spec.build(), [(x[:2000], None), (x[2000:3000], None)], seed, epochs=40, lr=5e-3, weight_decay=1e-3
            )
            with torch.no_grad():
                base = model.base  # type: ignore[union-attr]
                entries = base.entries(x[3000:])
                each = base.factor.log_prob(entries, base.parameters_of(x[3000:]))
            found.append(-float(each[:, 4 * 7 + 1].mean()))
            print(name, f"{found[-1]:.4f} nats", flush=True)
        result[f"{name} convolutions"] = found
    return result


def classes(seeds: int) -> dict[str, Any]:
    """Digits by class, and the share of samples with which a classifier agrees."""
    parts = digits()
    judge = classifier()
    rows: list[tuple[Tensor, Tensor | None]] = [(levels_of(part), one_hot(part)) for part in parts[:2]]
    asked = np.repeat(np.arange(10), 100)
    given = torch.eye(10)[torch.as_tensor(asked)]
    test, labels = levels_of(parts[2]), parts[2].labels()[0]
    found = earlier("classes")
    spec = PixelCNN(**DIGITS, classes=10, hidden=24, blocks=4, first_kernel=5, dropout=0.3)
    for seed in range(len(found), seeds):
        started = time.time()
        model = fitted(built(spec, seed), rows, seed, **{**GREY_TRAINING, "epochs": 65, "lr": 8e-3})
        torch.manual_seed(seed)
        x = model.sample((), given)
        agree = float((judge.predict(x.flatten(1).numpy()) == asked).mean())
        each = [pf.training.evaluate(model, test, context=torch.eye(10)[[c] * len(test)]) for c in range(10)]
        right = float((torch.stack(each).argmax(0).numpy() == labels).mean())
        found.append([nats(model, test, one_hot(parts[2])) / 64 / math.log(2), right, agree])
        print("by class", *(f"{value:.4f}" for value in found[-1]), f"{time.time() - started:.0f} s", flush=True)
        keep("pixels", "classes", value={"found": found})
        grid = x.reshape(10, 100, 1, 8, 8)[:, :10].transpose(0, 1).flatten(0, 1)
        write_images(HERE / "results" / "pixels.png", grid.numpy().astype(np.uint8), LEVELS, columns=10)
    return {"found": found}


def drawing(seeds: int) -> dict[str, Any]:
    """Seconds for one pass and for drawing 100 pictures of 28 x 28."""
    shape = {"shape": (1, 28, 28), "levels": 2}
    specs = {
        "masked convolutions": PixelCNN(**shape, network="plain", hidden=32, blocks=5),
        "gated convolutions": PixelCNN(**shape, hidden=32, blocks=5),
        "Row LSTM": PixelRNN(**shape, direction="row", hidden=32, layers=3),
        "Diagonal BiLSTM": PixelRNN(**shape, direction="diagonal", hidden=32, layers=3),
    }
    result = {}
    for name, spec in specs.items():
        for count in (16, 100):
            model = built(spec, 0).eval()
            x = torch.randint(0, 2, (count, 1, 28, 28)).float()
            with torch.no_grad():
                one, all_of_them = (best(call) for call in (lambda: model.log_prob(x), lambda: model.sample(count)))  # noqa: B023
            result[f"{name}, {count}"] = {"pass": one, "draw": all_of_them}
            print(name, count, f"{one:.3f} s, {all_of_them:.3f} s, {all_of_them / one:.2f}", flush=True)
    return result


def best(call: Callable[[], Any], repeats: int = 3) -> float:
    """Least of some times of a call, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def mnist(minutes: float) -> dict[str, Any]:
    """MNIST with pixels that are drawn anew in every epoch, with the grey value as the probability of a one; in nats."""
    z = data("mnist.npz")
    generator = torch.Generator().manual_seed(0)
    train, valid, test = (
        torch.as_tensor(z[f"{part}_x"]).float().reshape(-1, 1, 28, 28) / 255 for part in ("train", "valid", "test")
    )
    spec = PixelCNN(shape=(1, 28, 28), levels=2, network="plain", hidden=24, blocks=4)
    model = built(spec, 0)
    started, epoch = time.time(), 0
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    done = 0.0
    while done < 1:
        for chosen in torch.randperm(len(train), generator=generator).split(32):
            done = min(1.0, (time.time() - started) / (60 * minutes))
            for group in optimiser.param_groups:
                group["lr"] = 3e-3 * min(1.0, 20 * done + 0.02) * 0.5 * (1 + math.cos(math.pi * done))
            x = torch.bernoulli(train[chosen], generator=generator)
            loss = -model.log_prob(x).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 200.0)
            optimiser.step()
            average.update_parameters(model)
            if done == 1:
                break
        epoch += 1
        print(f"epoch {epoch}: {float(loss.detach()):.2f}, {(time.time() - started) / 60:.1f} min", flush=True)
    model.load_state_dict(average.module.state_dict())
    model.eval()
    drawn = [torch.bernoulli(part, generator=torch.Generator().manual_seed(1)) for part in (valid[:2000], test)]
    scores = [nats(model, x) for x in drawn]
    print(f"validation {scores[0]:.2f}, test {scores[1]:.2f}", flush=True)
    return {"weights": weights(model), "test": scores[1], "minutes": minutes, "pictures": len(train)}


RUNS: tuple[Callable[[Any], dict[str, Any]], ...] = (binary, grey, blind_spot, classes, drawing, mnist)
PARTS = {run.__name__.replace("_", " "): run for run in RUNS}


def tables() -> str:
    """All tables, from what the parts have kept."""
    kept = known("pixels")
    body = []
    if "binary" in kept:
        rows = [[name, f"{v['weights']:,}", mean_and_spread(v["found"])] for name, v in kept["binary"].items()]
        body.append(
            "Binary digits of 8 x 8 (pixel >= 8): test negative log-likelihood in nats, exact; mean ± deviation between seeds, or one seed.\n\n"
            + table(["model", "weights", "nats"], rows)
        )
    if "grey" in kept:
        rows = [["independent categorical", "", "2.434"]]
        rows += [[name, f"{v['weights']:,}", mean_and_spread(v["found"])] for name, v in kept["grey"].items()]
        body.append(
            "Digits of 8 x 8 with 17 levels: test bits per dimension, exact. A categorical MADE has 2.207 on this split.\n\n"
            + table(["model", "weights", "bits/dim"], rows)
        )
    if "classes" in kept:
        row = [mean_and_spread(list(column)) for column in zip(*kept["classes"]["found"], strict=True)]
        body.append(
            "The same digits by class, from the gated PixelCNN that is given the label: bits per dimension; share of test digits whose "
            "label is the one of largest likelihood; share of 1000 samples on which a classifier that has learned real digits says "
            "the label asked for.\n\n"
            + table(["model", "bits/dim", "classified by the model", "samples"], [["given the label", *row]])
            + "\n\n![samples by class](results/pixels.png)"
        )
    if "blind spot" in kept:
        rows = [[name, mean_and_spread(found)] for name, found in kept["blind spot"].items()]
        body.append(
            "Random bits of 5 x 7, of which one equals a pixel in the blind spot of masked convolutions: nats of that pixel. Without the "
            "other pixel it takes log 2 = 0.6931, with it 0.\n\n" + table(["network", "nats of the pixel"], rows)
        )
    if "drawing" in kept:
        rows = [
            [name, f"{v['pass']:.3f}", f"{v['draw']:.3f}", f"{v['draw'] / v['pass']:.2f}"]
            for name, v in kept["drawing"].items()
        ]
        body.append(
            "Cost of drawing pictures of 28 x 28 with kept features: seconds of one density pass and of drawing, for 16 and for 100 pictures "
            "at once. The plain way takes 784 passes.\n\n"
            + table(["network, pictures", "pass, s", "drawing, s", "drawing in passes"], rows)
        )
    if "mnist" in kept:
        v = kept["mnist"]
        row = ["masked PixelCNN on MNIST", f"{v['weights']:,}", f"{v['minutes']:g}", f"{v['test']:.2f}", "81.30"]
        body.append(
            f"Binary MNIST, drawn anew in every epoch from the grey values, {v['pictures']:,} training pictures: test nats. The published number "
            "is for a fixed binarisation and far longer training.\n\n"
            + table(["model", "weights", "minutes of one core", "nats", "published"], [row])
        )
    return "\n\n".join(body)


def main() -> None:
    """Run the parts, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=30.0, help="of training on MNIST")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for name in options.only or PARTS:
        keep("pixels", name, value=PARTS[name](options.minutes if name == "mnist" else options.seeds))
    write("pixels", "Pictures pixel by pixel", tables(), started)


if __name__ == "__main__":
    main()
