"""Flows and stochastic layers for densities whose constants are known (Rezende and Mohamed 2015, figure 3; Wu, Koehler, Noe 2020).

The energies U1 to U4 of the paper, the last three with a soft wall at |z_1| = 4, as they have no finite integral without; eight
Gaussians on a ring; a double well; and the way of N(0, 1) to N(4, 1/4) by Langevin steps alone. Constants come from quadrature.
Results are kept in papers/results/energies.json as they come, and draws beside it, so that `--only U2` runs one density anew.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import HERE, keep, known, table, write
from torch import Tensor

from pushforward.core import Chain, Flow, Real, Transform
from pushforward.distributions import ConditionalNormal, Normal
from pushforward.networks import head
from pushforward.posteriors import fit
from pushforward.posteriors.optimise import gaussian
from pushforward.posteriors.target import Target
from pushforward.systems import NSF, RealNVP
from pushforward.transforms import Annealed, Metropolis, Schedule, Temperature, hamiltonian

PLANE = Real((2,))
SCALES = {"U1": 1.0, "U2": 3.0, "U3": 1.0, "U4": 2.0}
"""Deviation of the start of planar flows."""
SPLINES = NSF(features=2, structure="coupling", layers=4)
WIDE = {"langevin": 10, "start": "wide", "scale": 3.0, "anneal": 0.8, "lr": 2e-3}
"""A stochastic normalizing flow: Langevin layers from a wide normal to the density, annealed for most of the training."""
ANCHORS = {
    "U1": (0.480, 0.042, 0.011),
    "U2": (0.291, 0.162, 0.013),
    "U3": (0.635, 0.260, 0.188),
    "U4": (0.511, 0.412, 0.171),
}
"""KL of planar flows of 2, 8 and 32 layers from a first implementation, the best of two seeds, 4000 steps."""
PLANAR: dict[int, dict[str, Any]] = {
    2: {"lr": 1e-2, "restarts": 6, "steps": 2000},
    8: {"lr": 2e-2, "restarts": 4, "steps": 2000},
    32: {"lr": 1e-2, "restarts": 3, "steps": 3000, "start": "gaussian", "scale": 1.0},
}
"""By the number of layers; few of them start wide, and often end in a poor place."""
RESTARTS = 4
"""Of splines."""


def wave(z: Tensor) -> Tensor:
    """The middle of the ridge."""
    return torch.sin(math.pi / 2 * z[:, 0])


def wall(z: Tensor) -> Tensor:
    """What keeps |z_1| below about 4."""
    return -0.5 * torch.relu(z[:, 0].abs() - 4).square() / 0.01


def u1(z: Tensor) -> Tensor:
    """A ring with two bumps."""
    bumps = torch.logaddexp(-0.5 * ((z[:, 0] - 2) / 0.6).square(), -0.5 * ((z[:, 0] + 2) / 0.6).square())
    return bumps - 0.5 * ((z.norm(dim=1) - 2) / 0.4).square()


def u2(z: Tensor) -> Tensor:
    """A ridge."""
    return wall(z) - 0.5 * ((z[:, 1] - wave(z)) / 0.4).square()


def u3(z: Tensor) -> Tensor:
    """A ridge that parts and joins again."""
    away = 3 * torch.exp(-0.5 * ((z[:, 0] - 1) / 0.6).square())
    y = z[:, 1] - wave(z)
    return wall(z) + torch.logaddexp(-0.5 * (y / 0.35).square(), -0.5 * ((y + away) / 0.35).square())


def u4(z: Tensor) -> Tensor:
    """A ridge that parts."""
    away = 3 * torch.sigmoid((z[:, 0] - 1) / 0.3)
    y = z[:, 1] - wave(z)
    return wall(z) + torch.logaddexp(-0.5 * (y / 0.4).square(), -0.5 * ((y + away) / 0.35).square())


def ring(z: Tensor) -> Tensor:
    """Eight Gaussians of deviation .4 on a circle of radius 4."""
    return (-0.5 * (z[:, None] - centres(z)).square().sum(-1) / 0.16).logsumexp(1)


def centres(z: Tensor) -> Tensor:
    """Of the ring's modes."""
    angles = torch.arange(8) * math.pi / 4
    return 4 * torch.stack([angles.cos(), angles.sin()], 1).to(z)


def well(z: Tensor) -> Tensor:
    """Two wells of unequal depth, with a barrier of about nine nats."""
    x, y = z.unbind(1)
    return -(x**4 / 4 - 3 * x**2 + x / 2) - y.square() / 2


BENT = {"U1": u1, "U2": u2, "U3": u3, "U4": u4}
"""The paper's energies."""
PARTED: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "ring of eight": (ring, lambda z: torch.cdist(z, centres(z)).argmin(1)),
    "double well": (well, lambda z: (z[:, 0] > 0).long()),
}
"""Densities of several modes, and which of these a point belongs to."""
PARTS = [*BENT, *PARTED, "langevin"]


def grid() -> tuple[Tensor, float]:
    """Points of a fine grid over the plane, and the log of the area of a cell."""
    axis = torch.linspace(-9, 9, 3001, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis), 2 * math.log(axis[1] - axis[0])


def constant(log_density: Callable[[Tensor], Tensor]) -> float:
    """log Z in the plane, by the midpoint rule."""
    points, cell = grid()
    logs = torch.cat([log_density(part) for part in points.split(500_000)])
    return float(logs.logsumexp(0)) + cell


def shares(name: str) -> Tensor:
    """Of the mass, by mode."""
    log_density, mode = PARTED[name]
    parts = grid()[0].split(500_000)
    mass = torch.cat([log_density(part) for part in parts]).softmax(0)
    return torch.bincount(torch.cat([mode(part) for part in parts]), mass)


def annealed(log_density: Callable[[Tensor], Tensor], scale: float = 3.0, rungs: int = 20, blocks: int = 0) -> Flow:
    """Hamiltonian steps, taken or refused, from a wide normal to the density; sizes and temperatures are learned.

    With blocks it is a stochastic normalizing flow as published: as many pairs of couplings, one before each share of the steps.
    """
    start, gaps, target = gaussian(2, scale), Schedule(rungs, power=2.0), Target(log_density, PLANE)
    steps = [Annealed(start._log_prob, target, Temperature(gaps, i)) for i in reversed(range(rungs))]
    layers: list[Transform] = []
    for i, rung in enumerate(steps, 1):
        layers.append(Metropolis(rung, PLANE, steps=5, step=0.2))
        if blocks and i % (rungs // blocks) == 0:
            layers.append(RealNVP(features=2, layers=2).build().chain)
    return Flow(Chain(*layers, start.chain), start.base)


def walked(steps: int) -> list[str]:
    """N(0, 1) to N(4, 1/4), by eight annealed Langevin steps with learned sizes, temperatures and guesses of momenta."""
    line = Real((1,))
    base, truth = Normal(line), 0.5 * math.log(2 * math.pi * 0.25)

    def target(x: Tensor, context: Tensor | None = None) -> Tensor:
        return -2 * (x[:, 0] - 4).square()

    rows = []
    for learned in (False, True):
        torch.manual_seed(0)
        gaps = Schedule(8)
        rungs = [Annealed(base._log_prob, target, Temperature(gaps, i)) for i in reversed(range(8))]
        guesses = [ConditionalNormal(line, 1, net=head(1, 2, (16,))) if learned else None for _ in rungs]
        layers = [hamiltonian(r, line, step=0.7, reverse=g) for r, g in zip(rungs, guesses, strict=True)]
        found = fit(
            target,
            line,
            flow=Flow(Chain(*layers), base),
            steps=2 * steps,
            lr=1e-2,
            anneal=0.0,
            draws=20_000,
            chains=0,
            tolerance=0.0,
        )
        rows.append(f"{truth - found.elbo.value:.4f} ± {found.elbo.error:.4f} (ESS {found.ess:.3f})")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Run what is asked for, print the tables of all that was ever run, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", default="docs/_static/energies.png")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for part in options.only:
        if part in BENT:
            found, draws = bent(part, options)
            np.save(drawn(part), torch.stack(draws).numpy().astype(np.float16))
        else:
            found = walked(options.steps) if part == "langevin" else parted(part, options)
        keep("energies", part, value=found)
    if all(drawn(part).exists() for part in BENT):
        figure(Path(options.figure))
    write("energies", "Densities with known constants", report(known("energies")), started)


def drawn(part: str) -> Path:
    """Where draws for the figure are kept; they are not committed."""
    return HERE / "results" / f"energies-{part}.npy"


def report(kept: dict[str, Any]) -> str:
    """The tables of what there is."""
    text = (
        "KL = log Z - bound, in nats, of the best of the runs in the last column: runs x steps, learning rate and deviation of the start "
        "of planar flows of 2, 8 and 32 layers, which come before a Gaussian of any covariance, 256 draws a step; then runs x steps of "
        "splines, 512 draws a step, path gradients; then the first seed. In brackets the first implementation of planar flows, the best of "
        "2 x 4000 at 5e-3, that these are to be compared with.\n\n"
    )
    head = [
        "",
        "log Z",
        "planar 2",
        "planar 8",
        "planar 32",
        "splines",
        "error of log Z",
        "ESS",
        "verdict",
        "runs",
    ]
    text += table(head, [kept[part] for part in BENT if part in kept]) + "\n\n"
    head = [
        "density",
        "model",
        "log Z",
        "KL",
        "error of log Z",
        "ESS",
        "k-hat",
        "rarest mode",
        "chains that found missed mass",
    ]
    text += table(head, [row for part in PARTED for row in kept.get(part, [])])
    text += "\n\nRarest mode: the least share of a flow's draws that a mode gets, in shares that it should get; 0 for a lost one."
    if "langevin" in kept:
        plain, learned = kept["langevin"]
        text += (
            f"\n\nN(0, 1) to N(4, 1/4) by 8 annealed Langevin steps: gap of the bound {plain} with momenta guessed by a normal, {learned} "
            "with a learned guess."
        )
    return text


def bent(name: str, options: argparse.Namespace) -> tuple[list[str], list[Tensor]]:
    """A row for one of the paper's energies, and draws of each flow."""
    log_density, draws, cells = BENT[name], [], []
    log_z = constant(log_density)
    for (layers, fields), anchor in zip(PLANAR.items(), ANCHORS[name], strict=True):
        wide = {"start": "wide", "anneal": 0.5, "scale": SCALES[name], "tolerance": 0.0}
        found = fit(log_density, PLANE, flow="planar", layers=layers, seed=options.seed, chains=0, **{**wide, **fields})
        cells.append(f"{log_z - found.elbo.value:.3f} ({anchor:.3f})")
        draws.append(found.sample(20_000))
        print(name, layers, cells[-1], flush=True)
    splines = NSF(features=2, structure="coupling", layers=6)
    path = {"samples": 512, "objective": "path", "restarts": RESTARTS, "tolerance": 0.0}
    found = fit(log_density, PLANE, flow=splines, steps=options.steps, seed=options.seed, **path)
    draws.append(found.sample(20_000))
    judged = [f"{log_z - found.elbo.value:.4f}", f"{abs(found.log_z.value - log_z):.4f}", f"{found.ess:.3f}"]
    about = [found.verdict.split(":")[0], settings(name, options.steps, options.seed)]
    row = [name, f"{log_z:.4f}", *cells, *judged, *about]
    print(row, flush=True)
    return row, draws


def settings(name: str, steps: int, seed: int) -> str:
    """How the flows were fitted."""
    runs = []
    for fields in PLANAR.values():
        start = "Gaussian fit" if fields.get("start") == "gaussian" else f"{SCALES[name]:g}"
        runs.append(f"{fields.get('restarts', 1)} x {fields['steps']}, {fields['lr']:g}, {start}")
    return "; ".join([*runs, f"{RESTARTS} x {steps}", f"seed {seed}"])


def parted(name: str, options: argparse.Namespace) -> list[list[str]]:
    """Rows for a density of several modes: flows alone, with Markov steps after them, such steps alone, and both in turn."""
    torch.manual_seed(options.seed)
    (log_density, mode), rows = PARTED[name], []
    log_z, truth = constant(log_density), shares(name)
    runs: dict[str, dict[str, Any]] = {
        "RealNVP, 8 couplings": {"flow": RealNVP(features=2, layers=8)},
        "splines, 4 couplings": {"flow": SPLINES},
        "splines, 4, and 10 Langevin layers": {"flow": SPLINES, **WIDE},
        "20 annealed Metropolis layers": {"flow": annealed(log_density), "steps": 150, "lr": 1e-2, "anneal": 0.0},
        "4 times 2 RealNVP couplings and 5 annealed Metropolis layers": {
            "flow": annealed(log_density, blocks=4),
            "steps": 100,
            "lr": 2e-3,
            "anneal": 0.0,
        },
    }
    for kind, fields in runs.items():
        found = fit(log_density, PLANE, **{"steps": options.steps, "seed": options.seed, "tolerance": 0.0, **fields})
        got = torch.bincount(mode(found.sample(50_000)), minlength=len(truth)) / 50_000
        numbers = [
            f"{log_z:.4f}",
            f"{log_z - found.elbo.value:.3f}",
            f"{found.log_z.value - log_z:+.4f}",
            f"{found.ess:.3f}",
            f"{found.k_hat:.2f}",
            f"{float((got / truth).min()):.2f}",
            f"{found.coverage.missed:.0%}",
        ]
        rows.append([name, kind, *numbers])
        print(rows[-1], flush=True)
    return rows


def figure(path: Path) -> None:
    """Densities, and draws of each flow, as in the paper's figure 3."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    titles = ["target", "planar, K = 2", "K = 8", "K = 32", "splines"]
    fig, axes = plt.subplots(len(BENT), 5, figsize=(9, 7.4), squeeze=False)
    axis = torch.linspace(-4.5, 4.5, 300)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
    for row, (name, log_density) in zip(axes, BENT.items(), strict=True):
        row[0].imshow(log_density(grid).exp().reshape(300, 300), extent=(-4.5, 4.5) * 2, origin="lower", cmap="viridis")
        row[0].set_ylabel(name)
        for axes_, x in zip(row[1:], np.load(drawn(name)).astype(np.float32), strict=True):
            axes_.hist2d(*x.T, bins=120, range=[(-4.5, 4.5)] * 2, cmap="viridis")
            axes_.set_aspect("equal")
    for axes_, title in zip(axes[0], titles, strict=True):
        axes_.set_title(title, fontsize=10)
    for axes_ in axes.flat:
        axes_.set_xticks([])
        axes_.set_yticks([])
    fig.tight_layout(pad=0.5)
    fig.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
