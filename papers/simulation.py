"""Posteriors of simulators: three tasks of a benchmark, 10,000 simulations each, and how well a classifier tells them from the truth.

C2ST is the accuracy of a classifier between 10,000 draws of an estimated posterior and 10,000 of the reference one, by the
benchmark's own recipe (a network of two layers of 10 D units, five-fold cross-validation): .5 is perfect, 1 as bad as can be.
"Ours" is a neural spline flow on standardised parameters given standardised data; on boxes behind a logit, so that nothing leaks.
"sbi" is the NPE of the package of that name with all its defaults, a masked autoregressive flow, on the same simulations.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from common import data, keep, known, mean_and_spread, table, write
from torch import Tensor

import pushforward as pf
from pushforward.core import Box, Real
from pushforward.evaluation.calibration import sbc_ranks, tarp
from pushforward.posteriors.simulators import amortised

warnings.filterwarnings("ignore")
OBSERVATIONS = range(1, 6)


@dataclass(frozen=True)
class Task:
    """A prior and a simulator of Lueckmann et al. 2021, arXiv:2101.04653, appendix T.

    Args:
        prior: of the parameters, in torch's terms.
        simulate: theta (N, D) -> x (N, C).
        log_likelihood: of theta (N, D) given x (C,): (N,), up to a constant.
        space: of the parameters.
        data: C.
        target: the C2ST that is hoped for.
        flow: arguments of ours that differ from `FLOW`.
    """

    prior: torch.distributions.Distribution
    simulate: Callable[[Tensor], Tensor]
    log_likelihood: Callable[[Tensor, Tensor], Tensor]
    space: Real | Box
    data: int
    target: float
    flow: dict[str, Any] = field(default_factory=dict)


def box(size: int, bound: float) -> torch.distributions.Distribution:
    """Uniform on [-bound, bound]^size."""
    return torch.distributions.Independent(
        torch.distributions.Uniform(-bound * torch.ones(size), bound * torch.ones(size)), 1
    )


def centre(theta: Tensor) -> Tensor:
    """Two moons: where the crescent of the data lies, but for a constant."""
    total, difference = theta[:, 0] + theta[:, 1], theta[:, 1] - theta[:, 0]
    return torch.stack([-total.abs(), difference], 1) / math.sqrt(2)


def two_moons(theta: Tensor) -> Tensor:
    """x = (r cos a + .25, r sin a) + centre(theta); a ~ U(-pi/2, pi/2), r ~ N(.1, .01^2)."""
    a = math.pi * (torch.rand(len(theta)) - 0.5)
    r = 0.1 + 0.01 * torch.randn(len(theta))
    return torch.stack([r * a.cos() + 0.25, r * a.sin()], 1) + centre(theta)


def two_moons_likelihood(theta: Tensor, x: Tensor) -> Tensor:
    """A normal radius times a uniform angle, in Cartesian coordinates."""
    u, v = (x - centre(theta)).unbind(1)
    r = ((u - 0.25).square() + v.square()).sqrt()
    return torch.where(u > 0.25, -0.5 * ((r - 0.1) / 0.01).square() - r.log(), -math.inf)


def covariance(theta: Tensor) -> Tensor:
    """SLCP: of each of the four points, (N, 2, 2)."""
    s1, s2, rho = theta[:, 2].square(), theta[:, 3].square(), theta[:, 4].tanh()
    rows = [torch.stack([s1**2 + 1e-6, rho * s1 * s2], 1), torch.stack([rho * s1 * s2, s2**2 + 1e-6], 1)]
    return torch.stack(rows, 1)


def slcp(theta: Tensor) -> Tensor:
    """Four points of a normal in the plane whose mean, deviations and correlation are the parameters."""
    root = torch.linalg.cholesky(covariance(theta))
    noise = torch.randn(len(theta), 4, 2)
    return (theta[:, None, :2] + noise @ root.mT).flatten(1)


def slcp_likelihood(theta: Tensor, x: Tensor) -> Tensor:
    """Of the four points."""
    normal = torch.distributions.MultivariateNormal(theta[:, None, :2], covariance(theta)[:, None])
    return normal.log_prob(x.reshape(4, 2)).sum(1)


DEVIATION = math.sqrt(0.1)
TASKS = {
    "two_moons": Task(box(2, 1.0), two_moons, two_moons_likelihood, Box((2,), -1.0, 1.0), 2, 0.65),
    "gaussian_linear": Task(
        torch.distributions.Independent(torch.distributions.Normal(torch.zeros(10), DEVIATION), 1),
        lambda theta: theta + DEVIATION * torch.randn_like(theta),
        lambda theta, x: -(x - theta).square().sum(1) / 0.2,
        Real((10,)),
        10,
        0.55,
    ),
    "slcp": Task(box(5, 3.0), slcp, slcp_likelihood, Box((5,), -3.0, 3.0), 8, 0.85, {"hidden": 128, "dropout": 0.1}),
}
FLOW = {"layers": 5, "hidden": 64, "blocks": 1, "bins": 8}


def simulations(name: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs of parameters and data."""
    torch.manual_seed(seed)
    theta = TASKS[name].prior.sample((count,))
    return theta, TASKS[name].simulate(theta)


def c2st(reference: Tensor, draws: Tensor) -> float:
    """Accuracy of the benchmark's classifier."""
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    mean, deviation = reference.mean(0), reference.std(0)
    x = torch.cat([(reference - mean) / deviation, (draws - mean) / deviation]).numpy()
    width = 10 * x.shape[1]
    network = MLPClassifier(hidden_layer_sizes=(width, width), max_iter=10_000, random_state=1)
    folds = KFold(n_splits=5, shuffle=True, random_state=1)
    labels = np.repeat([0.0, 1.0], [len(reference), len(draws)])
    return float(cross_val_score(network, x, labels, cv=folds, scoring="accuracy").mean())


def ours(name: str, theta: Tensor, x: Tensor, seed: int) -> tuple[Callable[[Tensor], Tensor], list[str]]:
    """Draws of our posterior given an observation, and two sentences on its calibration over 300 fresh simulations."""
    task = TASKS[name]
    spec = pf.systems.NSF(features=theta.shape[1], context=task.data, **{**FLOW, **task.flow})
    posterior = amortised(spec, theta, x, space=task.space, seed=seed, progress=False)
    fresh = simulations(name, 300, seed + 1000)
    checks = [str(check(posterior.sample, *fresh, seed=seed)) for check in (sbc_ranks, tarp)]
    return lambda observed: posterior.sample(10_000, observed), checks


def theirs(name: str, theta: Tensor, x: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """Draws of the posterior of sbi's NPE with its defaults."""
    from sbi.inference import NPE

    task = TASKS[name]
    torch.manual_seed(seed)
    inference = NPE(task.prior, show_progress_bars=False)
    inference.append_simulations(theta, x).train()
    posterior = inference.build_posterior()
    return lambda observed: posterior.sample((10_000,), x=observed, show_progress_bars=False)


def main() -> None:
    """Run what is asked for; results are kept as they come, and the table of all of them printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument(
        "--by", nargs="*", default=["ours", *(["sbi"] if find_spec("sbi") else [])], choices=["ours", "sbi"]
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the table and run nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    reference = data("sbibm_reference.npz")
    for name in [] if options.show else options.tasks:
        theta, x = simulations(name, 10_000, options.seed)
        for by in options.by:
            begun, checks = time.time(), []
            if by == "ours":
                draw, checks = ours(name, theta, x, options.seed)
            else:
                draw = theirs(name, theta, x, options.seed)
            seconds = time.time() - begun
            scores = []
            for i in OBSERVATIONS:
                truth, observed = (
                    torch.as_tensor(reference[f"{name}__{i}__{part}"]) for part in ("samples", "observation")
                )
                scores.append(c2st(truth, draw(observed).reshape(len(truth), -1)))
                print(name, by, i, scores[-1], flush=True)
            keep("simulation", name, by, value={"c2st": scores, "seconds": seconds, "checks": checks})
    rows, said = [], []
    for name, found in known("simulation").items():
        cells = [mean_and_spread(found[by]["c2st"]) if by in found else "not run" for by in ("ours", "sbi")]
        times = [f"{found[by]['seconds']:.0f}" if by in found else "" for by in ("ours", "sbi")]
        rows.append([name, *cells, f"{TASKS[name].target}", *times])
        said += [f"- {name}: {sentence}" for sentence in found.get("ours", {}).get("checks", [])]
    body = (
        "C2ST against 10,000 reference draws, mean and deviation over five observations; 10,000 simulations, one seed. "
        "Ours is trained until validation stops improving, as sbi's is.\n\n"
        + table(["task", "ours", "sbi, NPE", "to be reached", "s of training, ours", "sbi"], rows)
        + "\n\nCalibration of ours over 300 fresh simulations:\n\n"
        + "\n".join(said)
    )
    write("simulation", "Posteriors of simulators", body, started)


if __name__ == "__main__":
    main()
