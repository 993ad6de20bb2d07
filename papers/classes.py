"""Classification with few labels by FlowGMM, and energies of separate modes (Izmailov et al. 2020, arXiv:1912.13025; Stimper et al.
2022, arXiv:2110.15828).

Two moons (noise 0.1) with 10 labels of 1,000 rows, and the digits of scikit-learn with 50 labels of 1,200 rows,
reduced to 30 principal components. The scores are shares
of right labels among the other rows, beside label spreading of scikit-learn with the best of its kernels, chosen on the test
rows in its favour. Eight Gaussians on a ring are learned from their energy by a mixture of flows and by a resampled base.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from typing import Any

import numpy as np
import torch
from common import keep, known, table, write
from sklearn.datasets import load_digits, make_moons
from sklearn.decomposition import PCA
from sklearn.semi_supervised import LabelSpreading
from torch import Tensor

import pushforward as pf
from pushforward.core import Real
from pushforward.evaluation import calibration_error
from pushforward.objectives import ReverseKL, StratifiedKL
from pushforward.posteriors import fit
from pushforward.systems import NSF, MixtureOfFlows, RealNVP

KERNELS: tuple[dict[str, Any], ...] = (
    {"kernel": "knn", "n_neighbors": 7},
    {"kernel": "knn", "n_neighbors": 20},
    {"kernel": "rbf", "gamma": 5},
    {"kernel": "rbf", "gamma": 20},
)
SETTINGS: dict[str, dict[str, Any]] = {
    "moons": {"hidden": (64, 64)},
    "digits": {"standardise": False, "noise": 0.4, "distance": 30.0, "hidden": (256,), "max_iter": 300},
}


def rows_of(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training rows and labels, and test rows and labels."""
    random = np.random.default_rng(seed)
    if name == "moons":
        x, y = make_moons(2000, noise=0.1, random_state=seed)
        return x[:1000], y[:1000], x[1000:], y[1000:]
    x, y = load_digits(return_X_y=True)
    order = random.permutation(len(x))
    x, y = x[order] / 16, y[order]
    reduced = PCA(30, random_state=0).fit(x[:1200])
    return reduced.transform(x[:1200]), y[:1200], reduced.transform(x[1200:]), y[1200:]


def scored(name: str, seed: int) -> dict[str, float]:
    """Shares of right labels, and the calibration error, of one seed."""
    x, y, x_test, y_test = rows_of(name, seed)
    random = np.random.default_rng(seed)
    labels = np.full(len(y), -1)
    for label in np.unique(y):
        chosen = random.choice(np.flatnonzero(y == label), 5, replace=False)
        labels[chosen] = label
    best = 0.0
    for kernel in KERNELS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            best = max(best, LabelSpreading(max_iter=200, **kernel).fit(x, labels).score(x_test, y_test))
    start = time.process_time()
    model = pf.FlowClassifier(random_state=seed, **SETTINGS[name]).fit(x, labels)
    seconds = time.process_time() - start
    p = torch.from_numpy(model.predict_proba(x_test))
    right = model.score(x_test, y_test)
    return {
        "flowgmm": right,
        "spreading": best,
        "calibration": calibration_error(p, torch.from_numpy(y_test)),
        "seconds": seconds,
    }


def ring(z: Tensor) -> Tensor:
    """Log-density of eight Gaussians of deviation .4 on a circle of radius 4, up to its constant."""
    angles = torch.arange(8) * math.pi / 4
    centres = 4 * torch.stack([angles.cos(), angles.sin()], 1).to(z)
    return (-0.5 * (z[:, None] - centres).square().sum(-1) / 0.16).logsumexp(1)


LOG_Z = math.log(8 * 2 * math.pi * 0.16)
"""log Z of the ring."""


def mixture_of_eight(seed: int) -> pf.Distribution:
    """A mixture of eight flows, learned by the reverse divergence from starts around the origin."""
    torch.manual_seed(seed)
    model = MixtureOfFlows(features=2, components=8, layers=2, hidden=(32,)).build()
    pf.core.initialise(model, 4 * torch.randn(4000, 2))
    loss = StratifiedKL(model, lambda x, _: ring(x))
    return trained(model, loss, 3000)


def trained(model: pf.Distribution, loss: torch.nn.Module, steps: int) -> pf.Distribution:
    """The model after some steps, the first third of them at a rising temperature."""
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(512, min(1.0, 0.01 + 3 * step / steps)).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def resampled(seed: int) -> pf.Distribution:
    """A spline flow with a resampled base, fitted by importance-weighted draws."""
    flow = NSF(features=2, structure="coupling", layers=4, base="resampled").build()
    return fit(ring, Real((2,)), flow=flow, objective="forward-kl", seed=seed, steps=3000).model


def alone(seed: int) -> pf.Distribution:
    """An affine flow of about the size of the mixture, without anything that separates modes."""
    torch.manual_seed(seed)
    model = RealNVP(features=2, layers=16, hidden=(32,)).build()
    return trained(model, ReverseKL(model, lambda x, _: ring(x)), 3000)


def weighed(model: pf.Distribution) -> dict[str, float]:
    """Error of log Z, effective sample size (share of the draws), and the smallest share of a mode times eight."""
    torch.manual_seed(0)
    with torch.no_grad():
        x, logp = model.sample_and_log_prob(20_000)
        log_w = (ring(x) - logp).double()
    size = float((2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()) / len(x)
    angle = torch.atan2(x[:, 1], x[:, 0])
    mode = torch.remainder((angle / (math.pi / 4)).round().long(), 8)
    shares = torch.bincount(mode, minlength=8) / len(x) * 8
    return {
        "log_z": float(log_w.logsumexp(0)) - math.log(len(x)) - LOG_Z,
        "ess": size,
        "least": float(shares.min()),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


ENERGIES = {"mixture of eight flows": mixture_of_eight, "resampled base": resampled, "affine flow alone": alone}


def report(started: float) -> None:
    """Write the tables from what is kept."""
    kept = known("classes")
    lines = []
    for name in ("moons", "digits"):
        runs = list(kept.get(name, {}).values())
        if not runs:
            continue
        columns = []
        for key in ("flowgmm", "spreading", "calibration"):
            values = [run[key] for run in runs]
            columns.append(f"{np.mean(values):.4f} ± {np.std(values):.4f}")
        worst = min(run["flowgmm"] for run in runs)
        lines.append(
            [name, str(len(runs)), *columns, f"{worst:.4f}", f"{np.mean([run['seconds'] for run in runs]):.0f}"]
        )
    head = ["rows", "seeds", "FlowGMM", "label spreading", "calibration error", "worst seed", "CPU-seconds"]
    body = table(head, lines)
    modes = [
        [name, f"{found['parameters']:,}", f"{found['log_z']:.4f}", f"{found['ess']:.3f}", f"{found['least']:.2f}"]
        for name, found in kept.get("ring", {}).items()
    ]
    body += "\n\nEight Gaussians on a ring, learned from their energy; the share of the rarest mode is one if all are equal:\n\n"
    body += table(["model", "parameters", "error of log Z", "effective sample size", "rarest mode"], modes)
    write("classes", "Classes with few labels, and separate modes", body, started)


def main() -> None:
    """Run everything, or the parts that are named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["moons", "digits", "ring"], action="append")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    started = time.time()
    torch.set_num_threads(1)
    for name in ("moons", "digits"):
        for seed in range(options.seeds) if name in (options.only or [name]) else ():
            keep("classes", name, str(seed), value=scored(name, seed))
            print(name, seed, known("classes")[name][str(seed)], flush=True)
    for name, make in ENERGIES.items() if "ring" in (options.only or ["ring"]) else ():
        keep("classes", "ring", name, value=weighed(make(0)))
        print(name, known("classes")["ring"][name], flush=True)
    report(started)


if __name__ == "__main__":
    main()
