"""Ancestors of normalising flows: learned distribution functions beside Parzen windows, and greedy maps beside kernel estimates."""

from __future__ import annotations

import argparse
import math
import time

import torch
from common import keep, known, table, write
from torch import Tensor

from pushforward.core import initialise
from pushforward.distributions.toy import eight_gaussians
from pushforward.systems import CDFNetwork, Gaussianization, TabakTurner
from pushforward.training import fit

SIZES = (100, 500, 1000, 3000, 10_000)
GRID = torch.linspace(-6, 6, 2001, dtype=torch.float64)
STEP = float(GRID[1] - GRID[0])


def mixture() -> torch.distributions.Distribution:
    """Two Gaussians on the line with unequal weights and widths."""
    weights, means, scales = (torch.tensor(v, dtype=torch.float64) for v in ((0.4, 0.6), (-1.5, 1.0), (0.5, 0.8)))
    parts = torch.distributions.Normal(means, scales)
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(weights), parts)


def drawn(name: str, n: int, seed: int) -> Tensor:
    """Rows of a toy density, (n, D) in float32."""
    if name == "eight Gaussians":
        return eight_gaussians().sample(n, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "mixture":
            return mixture().sample((n, 1)).float()
        angle = 1.5 * math.pi * (1 + 2 * torch.rand(n))
        roll = torch.stack([angle * angle.cos(), angle * angle.sin()], 1)
        return (roll + torch.randn(n, 2)) / 5


def silverman(x: Tensor) -> Tensor:
    """Parzen estimate with Silverman's bandwidth on the grid: (N,) -> (G,)."""
    quartiles = torch.quantile(x, torch.tensor([0.25, 0.75], dtype=x.dtype))
    width = 0.9 * min(float(x.std()), float(quartiles[1] - quartiles[0]) / 1.34) * len(x) ** -0.2
    return (-0.5 * ((GRID[:, None] - x) / width).square()).exp().mean(1) / (width * math.sqrt(2 * math.pi))


def kernel(x: Tensor, held: Tensor) -> float:
    """Held-out NLL of a Gaussian kernel estimate, whose bandwidth is the best of 20 when each row is left out once."""
    found = []
    for width in torch.logspace(-1.7, 0, 20).tolist():
        constant = x.shape[1] * math.log(width * math.sqrt(2 * math.pi))
        exponent = torch.cdist(x, x).square() / (-2 * width**2)
        left_out = (exponent.fill_diagonal_(-math.inf).logsumexp(1) - math.log(len(x) - 1)).mean() - constant
        found.append((float(left_out), width))
    width = max(found)[1]
    exponent = torch.cdist(held, x).square() / (-2 * width**2)
    constant = math.log(len(x)) + x.shape[1] * math.log(width * math.sqrt(2 * math.pi))
    return float(constant - exponent.logsumexp(1).mean())


NETWORKS = {
    "monotone, smooth targets": {"units": 4},
    "monotone, stochastic targets": {"units": 4, "targets": "stochastic"},
    "free, smooth targets": {"network": "free", "hidden": (16,)},
}


def rates(seed: int, networks: list[str]) -> None:
    """L1 errors of densities that are derivatives of learned distribution functions."""
    truth = mixture().log_prob(GRID).exp()
    for n in SIZES:
        x = drawn("mixture", n, 1000 * seed + 1)
        found = {"Parzen": {"l1": float((silverman(x[:, 0].double()) - truth).abs().sum() * STEP)}}
        for name in networks:
            torch.manual_seed(seed)
            began = time.process_time()
            model = CDFNetwork(features=1, **NETWORKS[name]).build()
            fit(model, x, max_steps=2000, batch_size=min(n, 512), lr=1e-2, seed=seed, progress=False)
            seconds = time.process_time() - began
            with torch.no_grad():
                density = model.double().eval().log_prob(GRID[:, None]).exp()
            error, mass = (float(v.sum() * STEP) for v in ((density - truth).abs(), density))
            found[name] = {"l1": error, "mass": mass, "seconds": seconds}
        for name, value in found.items():
            keep("ancestors", "rates", name, str(n), str(seed), value=value)
        print(n, seed, {name: round(value["l1"], 4) for name, value in found.items()}, flush=True)


def toys(seed: int, wanted: list[str]) -> None:
    """Held-out NLL of greedy and trained models with 5,000 rows."""
    for name in ("mixture", "eight Gaussians", "swiss roll"):
        x, held = (drawn(name, 5000, 1000 * seed + part) for part in (1, 2))
        keep("ancestors", "toys", name, "kernel estimate", str(seed), value={"nll": kernel(x, held), "seconds": 0.0})
        d = x.shape[1]
        for kind, model, epochs, rate in (
            ("Tabak and Turner, 400 maps", TabakTurner(features=d, maps=400), 0, 0.0),
            ("Tabak and Turner, 60 maps, then trained", TabakTurner(features=d, maps=60, trained=True), 25, 5e-3),
            ("Gaussianization, iterative", Gaussianization(features=d, trained=False), 0, 0.0),
            (
                "Gaussianization, iterative, 40 steps of 0.3",
                Gaussianization(features=d, layers=40, mixture=16, step=0.3, trained=False),
                0,
                0.0,
            ),
            ("Gaussianization, trained", Gaussianization(features=d), 40, 3e-3),
        ):
            if wanted and kind not in wanted:
                continue
            torch.manual_seed(seed)
            began = time.process_time()
            flow = model.build()
            initialise(flow, x)
            if epochs:
                fit(flow, x, epochs=epochs, lr=rate, batch_size=256, seed=seed, progress=False)
            seconds = time.process_time() - began
            flow = flow.double().eval()
            with torch.no_grad():
                rows = held.double()
                value = {"nll": float(-flow.log_prob(rows).mean()), "seconds": seconds}
                value["inverse"] = float((flow.chain.inverse(flow.chain(rows)[0])[0] - rows).abs().max())
            if isinstance(model, TabakTurner) and not epochs:
                value["least step"] = float(flow.chain[0].curve.diff().min())
            print(name, kind, seed, value, flush=True)
            keep("ancestors", "toys", name, kind, str(seed), value=value)


def slope(errors: dict[str, dict[str, dict[str, float]]]) -> float:
    """Slope of the logarithm of the mean error against the logarithm of the number of rows, by least squares."""
    x = torch.tensor([math.log(int(n)) for n in errors])
    y = torch.tensor([sum(r["l1"] for r in seeds.values()) / len(seeds) for seeds in errors.values()]).log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=("rates", "toys"), default=["rates", "toys"])
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--models", nargs="+", default=[], help="models of the toys; all by default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    for seed in options.seeds:
        if "rates" in options.only:
            rates(seed, options.networks)
        if "toys" in options.only:
            toys(seed, options.models)

    def mean(runs: dict[str, dict[str, float]], key: str, digits: int = 4) -> str:
        values = [r[key] for r in runs.values() if key in r]
        return f"{sum(values) / len(values):.{digits}f}" if values else ""

    kept = known("ancestors")
    body = (
        "L1 error of the density of two Gaussians on the line, mean of the seeds, by the number of rows; the slope of its logarithm "
        "against that of the number; the total mass at 10,000 rows. Parzen windows have Silverman's bandwidth. 2,000 steps at 1e-2.\n\n"
    )
    errors = kept.get("rates", {})
    rows = [
        [
            name,
            *(mean(sizes[str(n)], "l1") for n in SIZES),
            f"{slope(sizes):.3f}",
            mean(sizes[str(SIZES[-1])], "mass"),
            str(len(sizes[str(SIZES[-1])])),
        ]
        for name, sizes in errors.items()
    ]
    body += table(["estimate", *(f"N = {n}" for n in SIZES), "slope", "mass", "seeds"], rows)
    body += (
        "\n\nNLL in nats on 5,000 fresh rows after a fit to 5,000 rows, mean of the seeds, and its distance from a kernel estimate "
        "with a cross-validated bandwidth; the largest error of the inverse in float64; the smallest step of the training "
        "curve of the growth; CPU seconds.\n\n"
    )
    rows = []
    for name, models in kept.get("toys", {}).items():
        best = models["kernel estimate"]
        for kind, runs in models.items():
            inverse, least = (
                f"{pick(r[key] for r in runs.values()):.0e}" if key in next(iter(runs.values())) else ""
                for key, pick in (("inverse", max), ("least step", min))
            )
            nll = mean(runs, "nll")
            above = sum(run["nll"] - best[seed]["nll"] for seed, run in runs.items()) / len(runs)
            rows.append([f"{name}, {kind}", nll, f"{above:+.3f}", inverse, least, mean(runs, "seconds", 0)])
    body += table(["density and model", "NLL", "beside kernel", "inverse", "least step", "seconds"], rows)
    write("ancestors", "Ancestors of normalising flows", body, started)


if __name__ == "__main__":
    main()
