"""Variational autoencoders with flows as posteriors (Rezende and Mohamed 2015; Kingma et al. 2016; van den Berg et al. 2018).

The same encoder, decoder and budget for every posterior; only what follows the encoder's Gaussian differs. Log-likelihoods are
importance-weighted with many samples, on test images that no run has seen. `--tune` chooses every posterior's learning rate and
warm-up among the same few, by the log-likelihood of validation images; the runs after it use what it chose. Results are kept in
papers/results/vae.json as they come, so that `--show` prints the tables of all that were run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import data, keep, known, table, write
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.evaluation import log_likelihoods
from pushforward.objectives import Binarised, default_objective
from pushforward.systems import VAE

POSTERIORS = {
    "diagonal": {},
    "full": {},
    "planar": {"steps": 10},
    "sylvester": {"steps": 4},
    "iaf": {"steps": 2},
    "spline": {"steps": 2},
    "hamiltonian": {"steps": 4},
}
TITLES = {"mnist": "mnist, binarised anew in every batch", "bits": "mnist, binarised once"}
PUBLISHED = {
    "bits": " A public implementation with networks of this size, on its own binarisation, prints 97.10 with the diagonal posterior and 95.33 with IAF.",
    "frey": " Published bounds, with other networks: 4.53 without a flow, 4.40 planar, 4.47 IAF, 4.45 Sylvester (Grathwohl et al. 2019).",
}
GRID = {
    "mnist": [(3e-3, 50), (5e-3, 20), (5e-3, 50)],
    "frey": [(2e-3, 50), (3e-3, 20), (3e-3, 50), (5e-3, 50)],
}
"""Learning rates, and warm-ups in percent of the run, that every posterior may choose from on a data set."""


def mnist(images: int) -> tuple[dict[str, torch.Tensor], dict]:
    """Grey levels in [0, 1] for training, one fixed binarisation of 1000 test images."""
    z = data("mnist.npz")
    grey = {
        part: torch.as_tensor(z[f"{part}_x"][:, None].astype(np.float32) / 255) for part in ("train", "valid", "test")
    }
    generator = torch.Generator().manual_seed(0)
    test = torch.bernoulli(grey["test"][:1000], generator=generator)
    judged = torch.bernoulli(grey["valid"][:1000], generator=generator)
    sets = {"train": grey["train"][:images], "valid": grey["valid"][:1000], "judged": judged, "test": test}
    return sets, {"shape": (1, 28, 28), "levels": 2, "latent": 20, "hidden": (300, 300), "decoder_activation": "relu"}


def bits(images: int) -> tuple[dict[str, torch.Tensor], dict]:
    """All of MNIST, binarised once and for all, and the larger networks of a public implementation of both posteriors."""
    z, generator = data("mnist.npz"), torch.Generator().manual_seed(0)
    sets = {
        part: torch.bernoulli(torch.as_tensor(z[f"{part}_x"][:, None].astype(np.float32) / 255), generator=generator)
        for part in ("train", "valid", "test")
    }
    sets = {"train": sets["train"], "valid": sets["valid"][:1000], "test": sets["test"][:1000]}
    return sets, {"shape": (1, 28, 28), "levels": 2, "latent": 128, "hidden": (512, 512), "decoder_activation": "relu"}


def digits(images: int) -> tuple[dict[str, torch.Tensor], dict]:
    """The 8 x 8 digits of scikit-learn, 17 levels."""
    x = load_digits().images[np.random.RandomState(0).permutation(1797)][:, None].astype(np.float32)
    x = torch.as_tensor(x)
    sets = {"train": x[:1200], "valid": x[1200:1500], "test": x[1500:]}
    return sets, {"shape": (1, 8, 8), "levels": 17, "latent": 8, "hidden": (200, 200)}


def frey(images: int) -> tuple[dict[str, torch.Tensor], dict]:
    """Frey faces, 256 levels, the split of the Sylvester paper's code."""
    z = data("freyfaces.npz")
    x = torch.as_tensor(z["x"][:, None].astype(np.float32))
    sets = {part: x[torch.as_tensor(z[f"{part}_idx"])] for part in ("train", "valid", "test")}
    return sets, {"shape": (1, 28, 20), "levels": 256, "latent": 20, "hidden": (300, 300)}


SETS = {"mnist": mnist, "bits": bits, "digits": digits, "frey": frey}


def trained(
    name: str, kind: str, seed: int, lr: float, warmup: int, options: argparse.Namespace
) -> tuple[pf.core.Flow, dict[str, torch.Tensor], dict[str, float]]:
    """One model, its images, and the settings and time of its training."""
    sets, fields = SETS[name](options.images)
    batch = 100
    epochs = options.epochs or {"mnist": 25, "bits": 25, "digits": 400, "frey": 300}[name]
    rising = warmup * epochs * len(sets["train"]) // (100 * batch)
    spec = VAE(posterior=kind, warmup=rising, **POSTERIORS[kind], **fields)
    torch.manual_seed(seed)
    model = spec.build()
    objective = default_objective(model)
    if name == "mnist":
        objective = Binarised(objective)
    started = time.time()
    pf.fit(
        objective if name == "mnist" else model,  # grey levels are no events of the model itself
        sets["train"],
        validation=(sets["valid"], None),
        objective=objective,
        batch_size=batch,
        lr=lr,
        ema=0,
        epochs=epochs,
        patience=0 if name == "mnist" else epochs // 4,
        schedule="cosine",
        seed=seed,
        progress=False,
    )
    seconds = time.time() - started
    return model, sets, {"seconds": seconds, "images": len(sets["train"]), "epochs": epochs, "lr": lr, "warmup": warmup}


def tune(name: str, kind: str, options: argparse.Namespace) -> dict[str, float]:
    """The settings of the grid with the largest log-likelihood of validation images, from one seed each."""
    tried = []
    for lr, warmup in GRID.get(name, GRID["mnist"]):
        model, sets, _ = trained(name, kind, 100, lr, warmup, options)
        x = sets.get("judged", sets["valid"])
        value = float(log_likelihoods(model, x, samples=50, seed=3, batch_size=1000).mean())
        tried.append({"valid": value, "lr": lr, "warmup": warmup})
        print(name, kind, tried[-1], flush=True)
    return {**max(tried, key=lambda t: t["valid"]), "tried": len(tried)}


def tuned(name: str) -> dict[str, dict[str, float]]:
    """The settings chosen for a data set, by posterior."""
    return known("vae").get("tuned", {}).get(name, {})


def run(name: str, kind: str, seed: int, chosen: dict[str, float], options: argparse.Namespace) -> dict[str, float]:
    """One model: its evidence bound and its log-likelihood on the test images, in nats."""
    lr, warmup = chosen.get("lr", options.lr), int(chosen.get("warmup", options.warmup))
    model, sets, about = trained(name, kind, seed, lr, warmup, options)
    bound = log_likelihoods(model, sets["test"], samples=20, seed=1)
    single = torch.stack([log_likelihoods(model, sets["test"], samples=1, seed=s) for s in range(20)]).mean(0)
    best = log_likelihoods(model, sets["test"], samples=options.samples, seed=2, batch_size=1000)
    return {
        "elbo": float(single.mean()),
        "iw20": float(bound.mean()),
        "iw": float(best.mean()),
        "error": float(best.std() / len(best) ** 0.5),
        "samples": options.samples,
        "dimensions": model.space.size,
        **about,
    }


def main() -> None:
    """Run what is asked for, and print the tables of all that was ever run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--posteriors", nargs="*", default=list(POSTERIORS), choices=list(POSTERIORS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=20_000, help="of MNIST to train on")
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--warmup", type=int, default=50, help="percent of the run")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--tune", action="store_true", help="choose learning rates and warm-ups first")
    parser.add_argument("--show", action="store_true", help="print the tables and run nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for name in [] if options.show else options.data:
        for kind in options.posteriors if options.tune else []:
            keep("vae", "tuned", name, kind, value=tune(name, kind, options))
        for seed in options.seeds:
            for kind in options.posteriors:
                found = run(name, kind, seed, tuned(name).get(kind, {}), options)
                keep("vae", "runs", name, kind, str(seed), value=found)
                print(name, kind, seed, {k: round(v, 3) for k, v in found.items()}, flush=True)
    body = (
        "Learning rate and warm-up: where it says so the best of several on validation images, from one seed that is not among these; "
        "the others were not tuned. Errors are standard errors over seeds. Units of encoders are ELUs; those of decoders ReLUs on MNIST, "
        "as is usual there, and SiLUs on pictures of more levels, where half of the last layer's ReLUs or more die in the first steps. "
        "The runs were made by `python papers/vae.py --data NAME`, with `--tune` for the rows that say best of several, "
        "and `--data bits --seeds 0 1` for mnist binarised once; `--show` prints all that were made.\n\n"
    )
    runs = known("vae").get("runs", {})
    body += "\n\n".join(tables(name, runs[name], tuned(name)) for name in SETS if name in runs)
    write("vae", "Flows as posteriors of variational autoencoders", body, started)


def tables(name: str, runs: dict[str, dict[str, dict[str, float]]], tuned: dict[str, dict[str, float]]) -> str:
    """The table of one data set: means over the seeds with the standard errors of these means."""
    some = next(iter(next(iter(runs.values())).values()))
    nats = name in ("mnist", "bits")
    per = -1.0 if nats else -1 / (some["dimensions"] * np.log(2))

    def cell(values: list[float]) -> str:
        error = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
        return f"{np.mean(values):.3f}{error}"

    rows = []
    for kind in POSTERIORS:
        if kind in runs:
            seeds = list(runs[kind].values())
            elbo, best = ([per * r[key] for r in seeds] for key in ("elbo", "iw"))
            best_of = f" (best of {tuned[kind]['tried']})" if kind in tuned else ""
            chosen = f"{seeds[0]['lr']:g}, {seeds[0]['warmup']:.0f} %{best_of}"
            rows.append([kind, cell(elbo), cell(best), str(len(seeds)), chosen])
    unit = "nats" if nats else "bits per dimension"
    head = [
        "posterior",
        f"- bound ({unit})",
        f"- log p, {some['samples']:.0f} samples",
        "seeds",
        "rate, warm-up",
    ]
    text = f"{TITLES.get(name, name)}: {some['images']:.0f} training images, {some['epochs']:.0f} epochs at most."
    return f"{text}{PUBLISHED.get(name, '')}\n\n{table(head, rows)}"


if __name__ == "__main__":
    main()
