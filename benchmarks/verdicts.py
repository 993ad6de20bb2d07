"""Errors of log Z and verdicts of `posteriors.fit` on twenty densities with known constants, with several seeds each.

A run flatters if it is called "Trust it" although log Z is off by more than two stated errors. At most 10 % of the trusted runs
may flatter, and no run in which a mode is missed may be trusted.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pushforward as pf
from pushforward.core import Box, Real, Simplex, Space

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Case:
    """A density with a known constant.

    Args:
        log_density: Function of parameters, as `posteriors.fit` takes it.
        space: Space of the parameters.
        log_z: The constant, in nats.
        modes: Centres of separate modes (M, D), where there are several.
        shares: Share of the mass of each mode (M,).
    """

    log_density: Callable[[Any], Tensor]
    space: Space | dict[str, Space]
    log_z: float
    modes: tuple[tuple[float, ...], ...] = ()
    shares: tuple[float, ...] = ()


def banana() -> Case:
    """Return the banana of the README."""
    return Case(
        lambda x: -(x[:, 0] ** 2) / 8 - (x[:, 1] - x[:, 0] ** 2 / 4) ** 2 / 2, Real((2,)), math.log(4 * math.pi)
    )


def modes(centres: list[list[float]], deviations: list[float], weights: list[float]) -> Case:
    """Return a mixture of spherical normals."""
    size = len(centres[0])

    def log_density(x: Tensor) -> Tensor:
        away = (x[:, None] - torch.tensor(centres).to(x)) / torch.tensor(deviations).to(x)[:, None]
        logs = torch.tensor(weights).log().to(x) - size * torch.tensor(deviations).log().to(x)
        return (logs - away.square().sum(-1) / 2).logsumexp(1) - size * LOG_2PI / 2

    return Case(
        log_density,
        Real((size,)),
        math.log(sum(weights)),
        tuple(map(tuple, centres)),
        tuple(w / sum(weights) for w in weights),
    )


def funnel(size: int = 3) -> Case:
    """Return Neal's funnel: v ~ N(0, 9), x_i ~ N(0, e^v)."""

    def log_density(x: Tensor) -> Tensor:
        v, rest = x[:, 0], x[:, 1:]
        inner = -(rest.square() * torch.exp(-v)[:, None] + v[:, None] + LOG_2PI).sum(1) / 2
        return -v.square() / 18 - math.log(3) - LOG_2PI / 2 + inner

    return Case(log_density, Real((size,)), 0.0)


def independent(distribution: torch.distributions.Distribution) -> Case:
    """Return a distribution of torch's with one batch dimension as a density."""
    given = torch.distributions.Independent(distribution, 1)
    return Case(lambda x: given.log_prob(x), pf.distributions.boundary.space_of(given.support, given.event_shape), 0.0)


def gaussian(scale: list[float], mean: list[float]) -> Case:
    """Return independent normals of very different units."""
    loc, deviation = torch.tensor(mean), torch.tensor(scale)
    return Case(
        lambda x: -((x - loc.to(x)) / deviation.to(x)).square().sum(1) / 2,
        Real((len(scale),)),
        len(scale) * LOG_2PI / 2 + float(deviation.double().log().sum()),
    )


def correlated(size: int = 5, correlation: float = 0.999) -> Case:
    """Return equicorrelated normals."""
    covariance = torch.full((size, size), correlation, dtype=torch.float64)
    covariance += (1 - correlation) * torch.eye(size)
    precision = torch.linalg.inv(covariance)
    return Case(
        lambda x: -torch.einsum("bi,ij,bj->b", x.double(), precision, x.double()).to(x) / 2,
        Real((size,)),
        size * LOG_2PI / 2 + float(torch.logdet(covariance)) / 2,
    )


def dirichlet() -> Case:
    """Return a Dirichlet distribution of four shares."""
    given = torch.distributions.Dirichlet(torch.tensor([0.7, 2.0, 3.0, 8.0]), validate_args=False)
    return Case(lambda x: given.log_prob(x), Simplex((4,)), 0.0)


SCHOOLS = ([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def schools(*, centred: bool) -> Case:
    """Return eight schools, y ~ N(theta, s), theta ~ N(mu, tau), mu ~ N(0, 5), tau ~ half-Cauchy(5)."""
    y, s = (torch.tensor(v) for v in SCHOOLS)
    normal, cauchy = torch.distributions.Normal, torch.distributions.HalfCauchy

    def log_density(p: dict[str, Tensor]) -> Tensor:
        mu, tau = p["mu"], p["tau"]
        prior = normal(0.0, 5.0).log_prob(mu) + cauchy(5.0).log_prob(tau)
        if centred:
            theta = p["theta"]
            inner = normal(mu[:, None], tau[:, None]).log_prob(theta).sum(1)
        else:
            theta = mu[:, None] + tau[:, None] * p["theta"]
            inner = normal(0.0, 1.0).log_prob(p["theta"]).sum(1)
        return prior + inner + normal(theta, s.to(mu)).log_prob(y.to(mu)).sum(1)

    space = {"theta": Real((8,)), "mu": Real(()), "tau": Box((), 0.0, math.inf)}
    return Case(log_density, space, _schools_constant())


def _schools_constant() -> float:
    """Integrate over mu and theta by hand, and over log tau by quadrature."""
    y, s = (torch.tensor(v, dtype=torch.float64) for v in SCHOOLS)
    line = torch.linspace(-25, 25, 200_001, dtype=torch.float64)
    tau = line.exp()
    precision = 1 / (s.square() + tau.square()[:, None])
    total = precision.sum(1) + 1 / 25
    weighted = (precision * y).sum(1)
    exponent = -((precision * y.square()).sum(1) - weighted.square() / total) / 2
    logs = exponent + (precision.log().sum(1) - total.log()) / 2 - 4 * LOG_2PI - math.log(5)
    prior = math.log(2 / (5 * math.pi)) - torch.log1p(tau.square() / 25) + line
    return float((logs + prior).logsumexp(0)) + math.log(float(line[1] - line[0]))


def regression(size: int = 4, rows: int = 50) -> Case:
    """Return a linear regression with a normal-inverse-gamma prior, whose evidence is known."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(rows, size, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.2, 30.0])[:size]
    y = x @ torch.tensor([1.0, -0.3, 2.0, 0.05]).double()[:size] + torch.randn(rows, generator=generator).double()
    a, b = 2.0, 2.0

    def log_density(p: dict[str, Tensor]) -> Tensor:
        beta, variance = p["beta"], p["variance"]
        residual = y.to(beta) - beta @ x.to(beta).T
        likelihood = -rows / 2 * (LOG_2PI + variance.log()) - residual.square().sum(1) / (2 * variance)
        prior = -size / 2 * (LOG_2PI + (100 * variance).log()) - beta.square().sum(1) / (200 * variance)
        scale = a * math.log(b) - math.lgamma(a) - (a + 1) * variance.log() - b / variance
        return likelihood + prior + scale

    precision = x.T @ x + torch.eye(size, dtype=torch.float64) / 100
    mean = torch.linalg.solve(precision, x.T @ y)
    after = b + float(y @ y - mean @ precision @ mean) / 2
    log_z = (
        -rows / 2 * LOG_2PI
        - size / 2 * math.log(100)
        - float(torch.logdet(precision)) / 2
        + a * math.log(b)
        - (a + rows / 2) * math.log(after)
        + math.lgamma(a + rows / 2)
        - math.lgamma(a)
    )
    return Case(log_density, {"beta": Real((size,)), "variance": Box((), 0.0, math.inf)}, log_z)


def ring() -> Case:
    """Return a ring of radius 4 and width .5."""
    radius = torch.linspace(1e-6, 12, 200_001, dtype=torch.float64)
    mass = torch.trapezoid(radius * torch.exp(-((radius - 4) ** 2) / 0.5), radius)
    return Case(lambda x: -((x.norm(dim=1) - 4) ** 2) / 0.5, Real((2,)), math.log(2 * math.pi * float(mass)))


CASES: dict[str, Callable[[], Case]] = {
    "banana": banana,
    "modes at +-2": lambda: modes([[-2.0], [2.0]], [1.0, 1.0], [1.0, 1.0]),
    "modes at +-4": lambda: modes([[-4.0], [4.0]], [1.0, 1.0], [1.0, 1.0]),
    "modes at +-10": lambda: modes([[-10.0], [10.0]], [1.0, 1.0], [1.0, 1.0]),
    "modes at +-20": lambda: modes([[-20.0], [20.0]], [1.0, 1.0], [1.0, 1.0]),
    "modes at +-8, 3 dims": lambda: modes([[-8.0] * 3, [8.0] * 3], [1.0, 1.0], [1.0, 1.0]),
    "unequal modes": lambda: modes([[0.0, 0.0], [9.0, 3.0]], [1.0, 0.5], [0.9, 0.1]),
    "three modes": lambda: modes([[-6.0, 0.0], [6.0, 0.0], [0.0, 12.0]], [0.7, 1.0, 2.0], [0.2, 0.5, 0.3]),
    "funnel": funnel,
    "Student t, 3": lambda: independent(torch.distributions.StudentT(torch.full((3,), 3.0))),
    "Student t, 1.5": lambda: independent(torch.distributions.StudentT(torch.full((2,), 1.5))),
    "Dirichlet": dirichlet,
    "gamma": lambda: independent(torch.distributions.Gamma(torch.tensor([2.0, 5.0]), torch.tensor([1.0, 3.0]))),
    "scales 1e-3 to 1e6": lambda: gaussian([1e-3, 1.0, 1e3, 1e6], [1e-2, -3.0, 5e3, 2e6]),
    "N(2e6, 3e5)": lambda: gaussian([3e5], [2e6]),
    "correlated": correlated,
    "eight schools, not centred": lambda: schools(centred=False),
    "eight schools, centred": lambda: schools(centred=True),
    "regression": regression,
    "ring": ring,
}
"""Each makes a density."""


HEAD = [
    "density",
    "seed",
    "CPU-seconds",
    "steps",
    "gap of the bound",
    "error of log Z",
    "in stated errors",
    "ESS",
    "k-hat",
    "verdict",
]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        row: Cells of the table.
        trusted: Whether the verdict is "Trust it".
        covered: Whether log Z is within two stated errors of the truth.
        missed: Whether a mode has less than a third of its share of the draws.
    """

    row: list[str]
    trusted: bool = False
    covered: bool = False
    missed: bool = False


def run(name: str, seed: int) -> Run:
    """Fit one density with one seed."""
    torch.set_num_threads(1)
    case, began = CASES[name](), time.process_time()
    try:
        fit = pf.posteriors.fit(case.log_density, case.space, seed=seed, progress=False)
    except pf.errors.FlowError as error:
        return Run([name, str(seed), f"{time.process_time() - began:.0f}", *["-"] * 6, str(error)])
    away = fit.log_z.value - case.log_z
    spent = [f"{time.process_time() - began:.0f}", str(fit.history[-1]["step"])]
    numbers = [f"{case.log_z - fit.elbo.value:.4f}", f"{away:+.4f}", f"{away / fit.log_z.error:+.1f}"]
    return Run(
        [name, str(seed), *spent, *numbers, f"{fit.ess:.2f}", f"{fit.k_hat:.2f}", fit.verdict],
        fit.trustworthy,
        abs(away) <= 2 * fit.log_z.error,
        any(_share(fit, mode) < share / 3 for mode, share in zip(case.modes, case.shares, strict=True)),
    )


def main() -> None:
    """Run, print a row for every run, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--out", type=Path, help="page to write, such as benchmarks/VERDICTS.md")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    names = [(name, seed) for seed in seeds for name in options.only]
    runs = []
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        results = (
            map(run, *zip(*names, strict=True)) if options.workers == 1 else pool.map(run, *zip(*names, strict=True))
        )
        for done in results:
            runs.append(done)
            print(done.row, flush=True)
    trusted = [done for done in runs if done.trusted]
    covered = sum(done.covered for done in trusted)
    summary = (
        f"{len(runs)} runs, {len(trusted)} trusted, of these {covered} within two stated errors of the truth "
        f"({covered / max(len(trusted), 1):.0%}); trusted though a mode is missed: {sum(done.missed for done in trusted)}."
    )
    print(summary)
    if options.out is not None:
        lines = [
            HEAD,
            ["---"] * len(HEAD),
            *sorted((done.row for done in runs), key=lambda row: options.only.index(row[0])),
        ]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        threads = f"One thread for each run; torch {torch.__version__}, pushforward {pf.__version__}."
        options.out.write_text(
            f"# Errors and verdicts\n\n{__doc__}\n{summary} {threads}\n\n{table}\n", encoding="utf-8"
        )


def _share(fit: pf.posteriors.Fit, mode: tuple[float, ...]) -> float:
    """Return the share of the draws nearer than three to a mode."""
    draws = torch.as_tensor(fit.draws["x"]).flatten(0, 1)
    return float(((draws - torch.tensor(mode)).norm(dim=1) < 3 * math.sqrt(len(mode))).float().mean())


if __name__ == "__main__":
    main()
