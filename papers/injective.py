"""Injective flows on a plane with noise and on a curve, where the density is known, and on POWER: reconstruction and samples."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from common import data, keep, known, mean_and_spread, table, write
from equal_size import fitted, options_of, parameters
from torch import Tensor

from pushforward.systems import InjectiveFlow

PLANE = torch.tensor([[2.0, 0.0, 1.0, 0.5], [0.0, 1.0, -1.0, 1.0]])
NOISE = 0.1
"""Standard deviation of the noise around the plane."""


@dataclass(frozen=True)
class Rows:
    """Rows to train on, rows to test, and the exact log-density of the projections of the latter, where it is known."""

    train: Tensor
    test: Tensor
    truth: Tensor | None = None


def plane(seed: int) -> Rows:
    """Four coordinates of two latent ones: probabilistic PCA, whose best plane has the two largest variances."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(60_000, 2, generator=generator) @ PLANE + NOISE * torch.randn(60_000, 4, generator=generator)
    variances, directions = torch.linalg.eigh(PLANE.mT @ PLANE + NOISE**2 * torch.eye(4))
    exact = torch.distributions.MultivariateNormal(torch.zeros(2), torch.diag(variances[2:]))
    test = rows[50_000:]
    return Rows(rows[:50_000], test, exact.log_prob(test @ directions[:, 2:]))


def curve(seed: int) -> Rows:
    """Points (u, sin 2u) with a standard normal u."""
    u = torch.randn(60_000, generator=torch.Generator().manual_seed(seed))
    rows, test = torch.stack([u, (2 * u).sin()], 1), u[50_000:]
    truth = -0.5 * test.square() - 0.5 * math.log(2 * math.pi) - 0.5 * torch.log1p(4 * (2 * test).cos().square())
    return Rows(rows[:50_000], rows[50_000:], truth)


def power(seed: int) -> Rows:
    """Standardised rows of POWER (26 days)."""
    z = data("power_dec2006.npz")
    train = z["train"].astype("f8")
    mean, scale = train.mean(0), train.std(0)
    parts = [torch.tensor((z[name] - mean) / scale, dtype=torch.float32) for name in ("train", "test")]
    return Rows(*parts)


EXPERIMENTS = {
    "plane": (plane, InjectiveFlow(features=4)),
    "curve": (curve, InjectiveFlow(features=2, latent_size=1)),
    "curve, exact gradient": (curve, InjectiveFlow(features=2, latent_size=1, gradient="exact")),
    "POWER, 26 days": (power, InjectiveFlow(features=6, latent_size=3, hidden=(256, 256))),
}


def frechet(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance of two samples by their means and covariances, as in the scores of images."""
    x, y = a.double().numpy(), b.double().numpy()
    first, second = np.cov(x.T), np.cov(y.T)
    root = np.sqrt(np.clip(np.linalg.eigvals(first @ second).real, 0, None)).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * root)


def measured(name: str, seed: int, steps: int) -> dict[str, float]:
    """Train, and measure."""
    make, spec = EXPERIMENTS[name]
    rows = make(seed)
    flow, seconds = fitted(spec, rows.train, seed, steps)
    with torch.no_grad():
        score = flow.log_prob(rows.test)
        _, _, penalties = flow.chain.forward_aux(rows.test)
        drawn = flow.sample(len(rows.test))
        found = {
            "nll": float(-score.mean()),
            "error": float((penalties["reconstruction"].mean() / rows.test.shape[1]).sqrt()),
            "samples": frechet(drawn, rows.test),
            "train": frechet(rows.train, rows.test),
            "seconds": seconds,
            "parameters": parameters(flow),
            "steps": steps,
        }
        if rows.truth is not None:
            found |= {"truth": float(-rows.truth.mean()), "off": float((score - rows.truth).abs().mean())}
    return found


def main() -> None:
    """Run everything and print the table."""
    options = options_of(__doc__, EXPERIMENTS)
    torch.set_num_threads(1)
    started = time.time()
    for name in options.only:
        for seed in options.seeds:
            found = measured(name, seed, options.steps)
            print(name, seed, found, flush=True)
            keep("injective", name, str(seed), value=found)
    rows = []
    for name, runs in known("injective").items():
        each = list(runs.values())
        columns = [
            mean_and_spread([run[what] for run in each]) if what in each[0] else ""
            for what in ("nll", "truth", "off", "error", "samples", "train", "seconds")
        ]
        rows.append([name, *columns, f"{each[0]['steps']:,}", f"{each[0]['parameters']:,}"])
    body = (
        "Negative log-density of the projections of held-out rows, in nats with respect to the volume of the surface; the exact "
        "number of the true surface; the mean absolute difference of a row; the error of the reconstruction in standard "
        "deviations per column (root mean square); and the squared Frechet distance of means and covariances between held-out "
        "rows and samples, beside that of the training rows. POWER has no density that is known.\n\n"
    )
    head = ["data", "NLL", "exact", "difference", "error", "samples", "training rows", "seconds", "steps", "parameters"]
    write("injective", "Injective flows", body + table(head, rows), started)


if __name__ == "__main__":
    main()
