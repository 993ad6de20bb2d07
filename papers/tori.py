"""Flows on tori: three densities with known constants, and torsion angles of a protein (Rezende et al. 2020, arXiv:2002.02428).

The densities on the 2-torus have one mode, a ridge, and three modes; log Z comes from quadrature and is exact to the digits
shown. Each is learned by reverse KL with every map of the circle. The torsion angles (phi, psi, chi1, chi2) of isoleucine are a
set on the 4-torus; the score is in nats per row, lower is better, chosen on the validation rows.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from common import data, keep, known, table, write
from torch import Tensor

import pushforward as pf
from pushforward.core import Box, Chain, Flow, Torus
from pushforward.distributions import Uniform
from pushforward.networks import MLP, MaskedMLP
from pushforward.objectives import ReverseKL
from pushforward.systems import TorusFlow
from pushforward.training import TrainConfig
from pushforward.transforms import Autoregressive, Coupling, RationalQuadratic, half_mask

MODES = ((0.21, 2.85), (1.89, 6.18), (3.77, 1.56))
MAPS = ("moebius", "spline", "projection")
STEPS, BATCH, DRAWS = 3000, 256, 20_000
ANGLES: dict[str, dict[str, Any]] = {
    "coupling": {"structure": "coupling", "layers": 6},
    "autoregressive": {"layers": 4, "bins": 24},
}
"""Settings for the torsion angles."""


def one_mode(x: Tensor) -> Tensor:
    """Log-density of the product of two von Mises distributions, up to its constant."""
    return (x[:, 0] - 4.18).cos() + (x[:, 1] - 5.96).cos()


def ridge(x: Tensor) -> Tensor:
    """Log-density that depends on the sum of the angles only."""
    return (x.sum(1) - 1.94).cos()


def three_modes(x: Tensor) -> Tensor:
    """Log-density of three modes, the sum of three products."""
    centres = torch.tensor(MODES).to(x)
    return (x[:, None] - centres).cos().sum(-1).logsumexp(1)


DENSITIES: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "one mode": (one_mode, 4.14758),
    "ridge": (ridge, 3.91167),
    "three modes": (three_modes, 5.24620),
}
"""Log-densities and their log Z."""


def learned(name: str, circle: str, seed: int = 0) -> dict[str, float]:
    """Learn a density by reverse KL, and return its KL, the error of log Z and the effective sample size (share of the draws)."""
    density, log_z = DENSITIES[name]
    torch.manual_seed(seed)
    model = TorusFlow(features=2, layers=4, circle=circle, structure="coupling", bins=8, components=4).build()  # type: ignore[arg-type]
    loss = ReverseKL(model, lambda x, _: density(x))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    start = time.process_time()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(BATCH).backward()
        optimizer.step()
        schedule.step()
    seconds = time.process_time() - start
    model.eval()
    x, logp = model.sample_and_log_prob(DRAWS)
    log_w = (density(x) - logp).double()
    size = float((2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()) / DRAWS
    found = float(log_w.logsumexp(0)) - math.log(DRAWS)
    return {"kl": log_z - float(log_w.mean()), "log_z": found - log_z, "ess": size, "seconds": seconds}


def torsions(settings: str, circle: str) -> dict[str, float]:
    """Fit the torsion angles, and return the negative log-likelihoods in nats."""
    found = data("protein_torus.npz")
    train, valid, test = (torch.from_numpy(found[f"ile_{part}"]).float() for part in ("train", "valid", "test"))
    train, valid, test = (Torus(4).nearest(x) for x in (train, valid, test))
    torch.manual_seed(0)
    model = TorusFlow(features=4, circle=circle, **ANGLES[settings]).build()  # type: ignore[arg-type]
    config = TrainConfig(lr=2e-3, epochs=300, patience=30, batch_size=256, seed=0, threads=1)
    start = time.process_time()
    result = pf.fit(model, train, validation=(valid, None), config=config, progress=False)
    model.eval()
    with torch.no_grad():
        logs = {name: model.log_prob(x) for name, x in (("valid", valid), ("test", test))}
    scores = {name: -float(log.mean()) for name, log in logs.items()}
    return scores | {"seconds": time.process_time() - start, "epochs": result.epochs}


def pace(structure: str) -> dict[str, float]:
    """Return CPU-milliseconds of a training step of circular splines, and of the same flow with splines on an interval."""
    torch.manual_seed(0)
    features, bins, rows = 8, 8, 512
    curved = TorusFlow(features=features, structure=structure, bins=bins, hidden=(128, 128)).build()  # type: ignore[arg-type]
    space, flat, layers = Box((features,), 0.0, 2 * math.pi), RationalQuadratic(bins, low=0.0, high=2 * math.pi), []
    for i in range(4):
        if structure == "coupling":
            network = partial(MLP, hidden=(128, 128))
            layers.append(Coupling(flat, space, half_mask(features, flip=i % 2 == 1), network))
        else:
            made = MaskedMLP(features, flat.n, hidden=(128, 128), order=range(features)[:: -1 if i % 2 else 1])
            layers.append(Autoregressive(flat, space, made))
    models = {"circle": curved, "interval": Flow(Chain(*layers), Uniform(space))}
    optimizers = {name: torch.optim.Adam(model.parameters()) for name, model in models.items()}
    x = 6.28 * torch.rand(rows, features)
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(60):
        for name, model in models.items():
            start = time.process_time()
            for _ in range(3):
                optimizers[name].zero_grad()
                (-model(x).mean()).backward()
                optimizers[name].step()
            times[name].append((time.process_time() - start) / 3e-3)
    found = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
    return found | {"ratio": found["circle"] / found["interval"]}


def report(started: float) -> None:
    """Write the tables from what is kept."""
    kept = known("tori")
    rows = [
        [name, circle, *(f"{found[key]:.4f}" for key in ("kl", "log_z", "ess")), f"{found['seconds']:.0f}"]
        for name, runs in kept.get("energies", {}).items()
        for circle, found in runs.items()
    ]
    body = table(["density", "map", "KL, nats", "error of log Z", "effective sample size", "CPU-seconds"], rows)
    angles = [
        [settings, circle, f"{found['valid']:.3f}", f"{found['test']:.3f}", f"{found['seconds']:.0f}"]
        for settings, runs in kept.get("torsions", {}).items()
        for circle, found in runs.items()
    ]
    body += "\n\nTorsion angles of isoleucine on the 4-torus, nats per row (independent 1.412, von Mises kernel estimate .526):\n\n"
    body += table(["layers", "map", "validation", "test", "CPU-seconds"], angles)
    pacing = [
        [structure, f"{found['circle']:.1f}", f"{found['interval']:.1f}", f"{found['ratio']:.2f}"]
        for structure, found in kept.get("speed", {}).items()
    ]
    body += "\n\nA training step of splines, 8 coordinates, 4 layers of width 128, 512 rows, CPU-milliseconds:\n\n"
    body += table(["layers", "circle", "interval", "ratio"], pacing)
    write("tori", "Flows on tori: densities with known constants, and torsion angles", body, started)


def main() -> None:
    """Run everything, or the parts that are named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["energies", "torsions", "speed"])
    parser.add_argument("--map", choices=MAPS, action="append")
    options = parser.parse_args()
    started = time.time()
    torch.set_num_threads(1)
    for structure in ("coupling", "autoregressive") if options.only in (None, "speed") else ():
        keep("tori", "speed", structure, value=pace(structure))
    for circle in options.map or MAPS:
        for name in DENSITIES if options.only in (None, "energies") else ():
            keep("tori", "energies", name, circle, value=learned(name, circle))
            print(name, circle, known("tori")["energies"][name][circle], flush=True)
        for settings in ANGLES if options.only in (None, "torsions") else ():
            keep("tori", "torsions", settings, circle, value=torsions(settings, circle))
            print(settings, circle, known("tori")["torsions"][settings][circle], flush=True)
    report(started)


if __name__ == "__main__":
    main()
