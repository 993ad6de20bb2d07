"""TzK on the digits: two types of knowledge on one flow, their product, and a third type that is added later.

The types are "low" (0 to 4) and "odd". A third one, "round" (0, 6, 8 or 9), is learned from few digits while the flow stays as
it is, and compared with a model that learns everything from these digits alone. The pixels get uniform noise and are divided by
17, so scores are nats of the density of 64 numbers in [0, 1]; differences between them need no constant.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from common import keep, known, mean_and_spread, table, write
from pictures import LEVELS, digits, levels_of
from sklearn.metrics import roc_auc_score
from torch import Tensor

from pushforward import fit
from pushforward.core import Flow
from pushforward.pictures import ImageSet
from pushforward.systems import TzK
from pushforward.systems.tzk import learn_more

TYPES = {"low": (0, 1, 2, 3, 4), "odd": (1, 3, 5, 7, 9), "round": (0, 6, 8, 9)}
FEW = 200
"""Number of digits from which the third type is learned."""
SETTINGS = {"lr": 3e-3, "batch_size": 100, "weight_decay": 0.1, "schedule": "cosine", "patience": 0, "progress": False}


def rows(part: ImageSet, seed: int) -> Tensor:
    """Pixels with noise, flattened, in [-3, 3]."""
    noise = torch.rand(len(part), 64, generator=torch.Generator().manual_seed(seed))
    return ((levels_of(part).flatten(1) + noise) / LEVELS - 0.5) * 6


def existence(part: ImageSet, *names: str) -> Tensor:
    """Which types exist for each digit."""
    labels = part.labels()[0]
    return torch.as_tensor(np.stack([np.isin(labels, TYPES[name]) for name in names], 1)).float()


def spec(**fields: Any) -> TzK:
    """Affine couplings with dropout; every expert has four Gaussian factors."""
    return TzK(features=64, layers=8, hidden=(128, 128), dropout=0.4, experts=4, **fields)


def mean_score(model: Flow, x: Tensor, **known_types: bool) -> float:
    """Mean log-density of rows given types by name."""
    context = model.base.context_of(known_types)  # type: ignore[operator]
    with torch.no_grad():
        return float(model.eval().log_prob(x, context).mean())


def chances(model: Flow, x: Tensor) -> np.ndarray:
    """Probability of each type for each row."""
    with torch.no_grad():
        z = model.eval().encode(x, model.base.context_of({}))  # type: ignore[operator]
        return model.base.existence(z).numpy()  # type: ignore[operator]


def run(seed: int, epochs: int) -> dict[str, float]:
    """Train, add the third type, and compare."""
    parts = digits()
    x = [rows(part, seed) for part in parts]
    torch.manual_seed(seed)
    model = spec(context=2, types=("low", "odd")).build()
    given = [existence(part, "low", "odd") for part in parts]
    fit(model, x[0], context=given[0], validation=(x[1], given[1]), seed=seed, epochs=epochs, **SETTINGS)  # type: ignore[arg-type]
    found = {}
    for i, name in enumerate(("low", "odd")):
        found[f"AUC of {name}"] = float(roc_auc_score(given[2][:, i], chances(model, x[2])[:, i]))
        mine = x[2][given[2][:, i] == 1]
        found[f"gain given {name}"] = mean_score(model, mine, **{name: True}) - mean_score(model, mine)
    both = x[2][given[2].sum(1) == 2]
    found["gain given low and odd"] = mean_score(model, both, low=True, odd=True) - mean_score(model, both)

    few, third = parts[0].take(slice(FEW)), [existence(part, "round") for part in parts]
    unknown = [torch.cat([torch.full((len(t), 2), -1.0), t], 1) for t in (existence(few, "round"), third[1], third[2])]
    grown = learn_more(model, "round")
    options = {**SETTINGS, "lr": 3e-3, "batch_size": 50, "patience": 20}
    fit(grown, x[0][:FEW], context=unknown[0], validation=(x[1], unknown[1]), seed=seed, epochs=200, **options)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    alone = spec(context=1, types=("round",)).build()
    fit(alone, x[0][:FEW], context=unknown[0][:, 2:], validation=(x[1], third[1]), seed=seed, epochs=200, **options)  # type: ignore[arg-type]
    mine = x[2][third[2][:, 0] == 1]
    for name, fitted in {"added later": grown, "alone": alone}.items():
        found[f"AUC of round, {name}"] = float(roc_auc_score(third[2][:, 0], chances(fitted, x[2])[:, -1]))
        found[f"score given round, {name}"] = mean_score(fitted, mine, round=True)
    found["gain given round, added later"] = mean_score(grown, mine, round=True) - mean_score(grown, mine)
    return found


def main() -> None:
    """Run all seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for seed in options.seeds:
        found = run(seed, options.epochs)
        print(seed, found, f"{time.time() - started:.0f} s", flush=True)
        keep("tzk", str(seed), value=found)
    runs = list(known("tzk").values())
    body = (
        f"Test digits, {len(runs)} seeds, mean ± deviation. A gain is the mean log-density given the types minus that without "
        "them, in nats, over the digits of that kind; it is at most the logarithm of one over their share where both factorisations agree. "
        f'The type "round" is learned from {FEW} digits: added later to the flow of 1,200 digits, which stays as it is, or alone.\n\n'
        + table(["what", "test"], [[key, mean_and_spread([r[key] for r in runs])] for key in runs[0]])
    )
    write("tzk", "Types of knowledge", body, started)


if __name__ == "__main__":
    main()
