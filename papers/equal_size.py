"""What the reproductions of flows beyond bijections share: equal numbers of parameters, training, and a paired score."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Collection
from typing import Any

import torch
from common import mean_and_spread
from torch import Tensor

import pushforward as pf
from pushforward.core import Distribution, Exactness, Flow
from pushforward.distributions.toy import CheckerboardDensity, TwoUniforms, four_gaussians
from pushforward.evaluation import log_likelihoods
from pushforward.systems.spec import Spec

TOYS = {"four Gaussians": four_gaussians(), "checkerboard": CheckerboardDensity(), "two uniforms": TwoUniforms()}
"""Densities of the plane with known entropy."""
SAMPLES = 64
"""Importance samples of a bound in a score."""


def options_of(description: str | None, experiments: Collection[str]) -> argparse.Namespace:
    """The seeds, the steps and the experiments that the command line asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--only", nargs="*", default=list(experiments), choices=list(experiments))
    return parser.parse_args()


def parameters(model: torch.nn.Module) -> int:
    """Number of trained numbers."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def sized(make: Callable[[int], Spec], budget: int) -> Spec:
    """The spec make(width) whose number of parameters comes closest to the budget; it has to be within 5 %."""
    low, high = 2, 256
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(make(middle).build()) <= budget else (low, middle)
    gap = {width: abs(parameters(make(width).build()) - budget) for width in (low, high)}
    width = min(gap, key=gap.__getitem__)
    if gap[width] > 0.05 * budget:
        raise SystemExit(
            f"no width of {make(width).name} gives {budget} parameters within 5 %: {gap[width]} off at {width}"
        )
    return make(width)


def trained(spec: Spec, sample: Callable[..., Tensor], seed: int, steps: int, lr: float = 2e-3, **options: Any) -> Flow:
    """A model after `steps` steps on 200 batches' worth of fresh rows, with the loss of its system."""
    torch.manual_seed(seed)
    model = spec.build()
    rows, batch = 200_000, 512
    options = {"schedule": "linear", "ema": 0.998, "patience": 0, "warmup": 0, **options}
    epochs = math.ceil(steps * batch / rows)
    pf.fit(
        model,
        sample(rows, seed=seed),
        validation=None,
        lr=lr,
        batch_size=batch,
        epochs=epochs,
        max_steps=steps,
        seed=seed,
        threads=1,
        progress=False,
        **options,
    )
    return model


def fitted(spec: Spec, rows: Tensor, seed: int, steps: int) -> tuple[Flow, float]:
    """A model after `steps` steps on given rows at a rate that falls from 2e-3 to zero, and the processor seconds of the fit."""
    torch.manual_seed(seed)
    model, before = spec.build(), time.process_time()
    pf.fit(
        model,
        rows,
        max_steps=steps,
        epochs=10_000,
        lr=2e-3,
        schedule="cosine",
        batch_size=512,
        patience=0,
        seed=seed,
        progress=False,
    )
    return model, time.process_time() - before


def score(
    model: Distribution, density: Any, seed: int, rows: int = 20_000, samples: int = SAMPLES
) -> tuple[float, float]:
    """NLL in nats, H + mean of log p* - log p over fresh rows, with importance samples for a bound; and with one sample.

    The difference of the two log-densities has a smaller variance than log p alone, and the same mean up to the entropy.
    """
    x = density.sample(rows, seed=1_000 + seed)
    truth = density.log_prob(x).double()
    found = []
    for count in (samples, 1) if Exactness.NOISY in model.exactness else (1,):
        logp = log_likelihoods(model, x, samples=count, batch_size=20_000)
        found.append(density.entropy + float((truth - logp).mean()))
    return found[0], found[-1]


def run(
    make: Callable[[int], Spec], budget: int, density: Any, seed: int, steps: int, lr: float = 2e-3
) -> tuple[dict[str, Any], Flow]:
    """The score and the cost of one model of the budget's size, and the model."""
    started = time.process_time()
    flow = trained(sized(make, budget), density.sample, seed, steps, lr)
    seconds = time.process_time() - started
    nll, one = score(flow, density, seed)
    cost = {"parameters": parameters(flow), "seconds": seconds, "steps": steps, "lr": lr}
    return {"nll": nll, "one": one, "bound": flow.exactness != Exactness.EXACT, **cost}, flow


def rows_of(kept: dict[str, Any], targets: dict[tuple[str, str], float] | None = None) -> list[list[str]]:
    """A row for each model of each density: mean and deviation of the seeds."""
    rows = []
    for density, models in ((name, kept[name]) for name in TOYS if name in kept):
        for model, seeds in models.items():
            runs = list(seeds.values())
            row = [f"{density}, {model}", f"{TOYS[density].entropy:.4f}", mean_and_spread([r["nll"] for r in runs])]
            row.append(mean_and_spread([r["one"] for r in runs]) if runs[0]["bound"] else "exact")
            row += [
                f"{runs[0]['parameters']:,}",
                f"{sum(r['seconds'] for r in runs) / len(runs):.0f}",
                f"{runs[0]['steps']:,}",
                f"{len(runs)}",
            ]
            if targets is not None:
                row.append(f"{targets[density, model]:g}" if (density, model) in targets else "")
            rows.append(row)
    return rows
