"""Deep density models of nines: the density of held-out nines, of sixes, of sixes upside down and of corrupted nines."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from common import data, keep, known, table, write
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from pushforward.core import Box, Chain, Flow
from pushforward.functional.beta_moments import beta_divergence, beta_of_moments
from pushforward.systems import RippelAdams
from pushforward.training import fit
from pushforward.transforms import Logit

SQUASH = 0.02
"""Pixels are squashed to [0.02, 0.98]."""
STEPS = {"digits": 3000, "MNIST": 1500}
"""Number of training steps."""
SHARES = (0.1, 0.25, 0.5)
"""Shares of the pixels of a nine that are replaced by uniform numbers."""


def digits(name: str) -> tuple[Tensor, Tensor]:
    """Nines and sixes as rows of pixels in [0, 1]: the digits of scikit-learn, or MNIST in means of 2 x 2 pixels."""
    if name == "digits":
        loaded = load_digits()
        x, y = torch.tensor(loaded.data).float() / 16, torch.tensor(loaded.target)
    else:
        file = data("mnist.npz")
        x, y = torch.tensor(file["train_x"]), torch.tensor(file["train_y"])
        x = F.avg_pool2d(x.float()[:, None] / 255, 2).flatten(1)
    return x[y == 9], x[y == 6]


def corrupted(x: Tensor, share: float) -> Tensor:
    """Rows some of whose pixels are replaced by uniform numbers."""
    return torch.where(torch.rand_like(x) < share, torch.rand_like(x), x)


def auc(high: Tensor, low: Tensor) -> float:
    """Probability that a row of the first kind has a higher score than one of the second."""
    return float(roc_auc_score([1] * len(high) + [0] * len(low), torch.cat([high, low]).numpy()))


def judged(score: Callable[[Tensor], Tensor], sets: dict[str, Tensor]) -> dict[str, float]:
    """Mean scores, and areas under the curves between them."""
    with torch.no_grad():
        found = {name: score(x.double()) for name, x in sets.items()}
    value = {f"score {name}": float(s.mean()) for name, s in found.items()}
    value |= {f"auc {name}": auc(found["test"], found[name]) for name in found if name not in ("train", "test")}
    return value | {"auc upside down over 6": auc(found["upside down"], found["6"])}


def prepared(name: str, seed: int) -> dict[str, Tensor]:
    """Rows of pixels: nines to train and to test on, and what is compared with them."""
    torch.manual_seed(seed)
    nines, sixes = digits(name)
    train, test = nines[torch.randperm(len(nines))].tensor_split([2 * len(nines) // 3])
    sets = {"train": train, "test": test, "6": sixes, "upside down": sixes.flip(1)}
    return sets | {f"corrupted {share:g}": corrupted(test, share) for share in SHARES}


def gaussian(name: str, seed: int) -> dict[str, float]:
    """Compare the densities of a Gaussian of logits."""
    sets = prepared(name, seed)
    front = Logit(Box((sets["train"].shape[1],)), SQUASH)
    fitted = LedoitWolf().fit(front(sets["train"])[0].numpy())
    mean, covariance = (torch.tensor(v).double() for v in (fitted.location_, fitted.covariance_))
    normal = torch.distributions.MultivariateNormal(mean, covariance)
    return judged(lambda x: normal.log_prob(front(x)[0]) + front(x)[1], sets)


def deep(name: str, seed: int, steps: int, fields: dict[str, str]) -> dict[str, float]:
    """Train a deep density model, and compare densities."""
    sets = prepared(name, seed)
    train = sets["train"]
    front = Logit(Box((train.shape[1],)), SQUASH)
    began = time.process_time()
    spec = RippelAdams(features=train.shape[1], **fields)  # type: ignore[arg-type]
    part = spec.build()
    flow = Flow(Chain(front, part.chain), part.base)
    fit(
        flow,
        train,
        validation=None,
        objective=spec.loss(flow),
        max_steps=steps,
        batch_size=min(len(train), 256),
        lr=2e-3,
        schedule="cosine",
        weight_decay=0.0,
        ema=0.0,
        seed=seed,
        progress=False,
    )
    seconds = time.process_time() - began
    flow = flow.double().eval()
    decoder = flow.chain[1]
    value = judged(flow.log_prob, sets) | {"seconds": seconds}
    with torch.no_grad():
        for rows in ("train", "test"):
            x = front(sets[rows].double())[0]
            codes = {"inverse": decoder(x)[0]} | ({"encoder": decoder.encode(x)} if decoder.encoder is not None else {})
            for what, u in codes.items():
                divergence = beta_divergence(*beta_of_moments(u.sigmoid()), spec.a, spec.b)
                value[f"divergence {what} {rows}"] = float(divergence.mean())
        values = [torch.linalg.svdvals(w) for w in decoder.weights()]
    return value | {"condition": max(float(s[0] / s[-1]) for s in values)}


KINDS = {
    "three losses": {},
    "likelihood": {"learn": "likelihood"},
    "Gaussian": None,
}


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=("digits", "MNIST"), default=["digits", "MNIST"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for name in options.only:
        for seed in options.seeds:
            for kind, fields in KINDS.items():
                value = gaussian(name, seed) if fields is None else deep(name, seed, STEPS[name], fields)
                print(name, kind, seed, {key: round(v, 4) for key, v in value.items()}, flush=True)
                keep("deep_density", name, kind, str(seed), value=value)

    def mean(runs: dict[str, dict[str, float]], key: str, digits: int) -> str:
        values = [r[key] for r in runs.values() if key in r]
        if not values:
            return ""
        ends = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
        return f"{sum(values) / len(values):.{digits}f}{ends}"

    kept = known("deep_density")
    rows, more = [], []
    for name, kinds in kept.items():
        for kind, runs in kinds.items():
            keys = ("auc 6", "auc upside down over 6", *(f"auc corrupted {share:g}" for share in SHARES))
            rows.append(
                [f"{name}, {kind}", *(mean(runs, key, 3) for key in keys), mean(runs, "seconds", 0).split(" ")[0]]
            )
            scores = (mean(runs, f"score {key}", 0) for key in ("train", "test", "upside down", "6"))
            codes = (mean(runs, f"divergence {key} test", 3) for key in ("encoder", "inverse"))
            more.append([f"{name}, {kind}", *scores, *codes, mean(runs, "condition", 1)])
    body = (
        "Models of nines: two thirds of the nines train, the others test. Share of pairs in which the first row has the larger density "
        "(the area under the curve): a held-out nine and a six; a six upside down and a six; a held-out nine and one with a tenth, a quarter "
        "or a half of its pixels replaced by uniform numbers. Mean of the seeds, with the least and the greatest. The digits of scikit-learn are "
        "8 x 8; MNIST is averaged to 14 x 14. Densities are those of pixels in [0, 1], squashed to [0.02, 0.98] before the model. "
        "3,000 steps (MNIST: 1,500) at 2e-3 falling to zero, batches of at most 256. The Gaussian of logits has a shrunk covariance (Ledoit and Wolf).\n\n"
    )
    head = [
        "data and model",
        "nine over six",
        "turned six over six",
        *(f"over {share:.0%} replaced" for share in SHARES),
        "seconds",
    ]
    body += table(head, rows)
    body += (
        "\n\nMean log-density in nats; divergence of each latent marginal of held-out nines from Beta(2, 2), in nats, for the codes of the encoder and "
        "for the exact inverse of the decoder, which is what the density sees; the largest condition number of a matrix.\n\n"
    )
    head = ["data and model", "train", "test", "turned sixes", "sixes", "KL, encoder", "KL, inverse", "condition"]
    body += table(head, more)
    write("deep_density", "Deep density models", body, started)


if __name__ == "__main__":
    main()
