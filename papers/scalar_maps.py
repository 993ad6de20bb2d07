"""Flows that differ in their scalar map, beside zuko's: held-out likelihood after equal time, and time of a step.

All flows of scalar maps have three layers without linear layers, the order of the features reversed in every other one, and masked
networks whose width is chosen so that every flow has about the same number of parameters. BNAF has as many units for each feature as
that number allows, and Gaussianization as many layers, but at most 12. Each is trained for the same CPU time on one core, with the same
optimiser, schedule and batch size; the weights with the best validation score are kept. The interval of the polynomials is chosen
by validation scores of short runs; zuko's flows have their defaults. Run it where zuko is installed (`make conformance` makes such
an environment); without zuko its rows are left out.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from bsds import patches, prepared
from common import data, keep, known, mean_and_spread, table, write
from torch import Tensor, nn

import pushforward as pf
from pushforward.core import initialise
from pushforward.distributions.toy import CheckerboardDensity, eight_gaussians

LAYERS, BATCH, RATE = 3, 256, 3e-3
SIZES = {
    "8 Gaussians": 30_000,
    "checkerboard": 30_000,
    "POWER": 60_000,
    "BSDS300": 200_000,
    "white wine": 60_000,
    "red wine": 60_000,
}
"""Number of parameters, by data set."""
NOISY = ("white wine", "red wine", "POWER")
"""Data whose training rows get noise of 0.02 deviations, because their numbers are rounded."""
BOUNDS = {"SOS": (3.0, 5.0, 8.0), "Bernstein": (3.0, 5.0, 8.0)}
"""Half-widths of the interval, among which a validation score chooses."""
CHECKS, VALIDATED = 5, 2000
"""Number of validations in a run, and rows of each."""
Density = Callable[[Tensor], Tensor]
Make = Callable[[int, int], tuple[nn.Module, Density]]

OURS: dict[str, Callable[..., pf.systems.VectorSpec]] = {
    "NAF": partial(pf.systems.NAF, depth=1, sigmoids=16),
    "UMNN": pf.systems.UMNN,
    "SOS": pf.systems.SOS,
    "Bernstein": pf.systems.BernsteinFlow,
    "BNAF": pf.systems.BNAF,
    "Gaussianization": pf.systems.Gaussianization,
    "NSF": pf.systems.NSF,
}
MORE: dict[str, Callable[..., pf.systems.VectorSpec]] = {
    "NAF, dense": partial(pf.systems.NAF, map="dense", sigmoids=4),
    "NSF, linear-rational": partial(pf.systems.NSF, spline="linear-rational"),
    "Bent, cubic-rational": pf.systems.BentFlow,
    "Bent, sinh": partial(pf.systems.BentFlow, map="sinh"),
}
"""Flows that run only if `--flow` names them."""
THEIRS = {"NAF": "NAF", "UMNN": "UNAF", "SOS": "SOSPF", "Bernstein": "BPF", "Gaussianization": "GF", "NSF": "NSF"}
DEEPEST = 12
"""Largest number of layers of a Gaussianization flow, whose start fits them one after the other."""
STARTED, WIDEST = 500, 16
"""Rows from which a flow starts, and the largest number of features with such a start: it takes seconds for each layer beyond."""
TOO_SLOW = {("BSDS300", "NAF, zuko"), ("BSDS300", "UMNN, zuko")}
"""Pairs that are left out: a network for each of 63 features, so that one validation takes minutes."""


def ours(name: str, features: int, size: int, **options: float) -> tuple[nn.Module, Density]:
    """This library's flow of a size and its log-density."""
    make = (OURS | MORE)[name]
    if name == "BNAF":
        spec = make(features=features, layers=LAYERS, hidden=(size, size))
    elif name == "Gaussianization":
        spec = make(features=features, layers=min(size, DEEPEST))
    else:
        spec = make(features=features, layers=LAYERS, hidden=4 * max(size, 3), blocks=1, linear=False, **options)
    flow = spec.build()
    return flow, flow.log_prob


def theirs(name: str, features: int, size: int) -> tuple[nn.Module, Density]:
    """zuko's flow of a size and its log-density."""
    import zuko.flows

    if name == "Gaussianization":
        flow = zuko.flows.GF(features, transforms=min(size, DEEPEST))
    else:
        flow = getattr(zuko.flows, THEIRS[name])(features, transforms=LAYERS, hidden_features=(4 * max(size, 3),) * 3)
    return flow, lambda x: flow().log_prob(x)


def flows() -> dict[str, Make]:
    """Functions of the number of features and the size, for all flows whose library is installed."""
    made: dict[str, Make] = {name: partial(ours, name) for name in OURS | MORE}
    if importlib.util.find_spec("zuko"):
        made |= {f"{name}, zuko": partial(theirs, name) for name in THEIRS}
    return made


def size_of(flow: nn.Module) -> int:
    """Number of parameters that are trained."""
    return sum(p.numel() for p in flow.parameters() if p.requires_grad)


def fitting_size(count: Callable[[int], int], wanted: int) -> int:
    """Size from 1 to 127 of the largest flow with at most the wanted number of parameters, which grows with the size."""
    low, high = 1, 128
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= wanted else (low, middle)
    return low


@cache
def rows_of(name: str) -> tuple[list[Tensor], float, str]:
    """Standardised rows to train on, to validate and to test; nats lost by the scaling; and what to compare with."""
    if name in ("8 Gaussians", "checkerboard"):
        density = eight_gaussians() if name == "8 Gaussians" else CheckerboardDensity()
        parts = [density.sample(n, seed=i).double().numpy() for i, n in enumerate((20_000, 4_000, 10_000))]
        beside = f"{density.entropy:.4f}"
    elif name in ("white wine", "red wine"):
        z, key = data("uci_rnade.npz"), name.replace(" ", "")
        x, fold = z[key].astype("f8"), z[f"{key}_fold"]
        rest = x[fold != 0][np.random.RandomState(0).permutation((fold != 0).sum())]
        parts = [rest[len(rest) // 10 :], rest[: len(rest) // 10], x[fold == 0]]
        beside = "10.23" if name == "white wine" else "9.36"
    elif name == "POWER":
        z = data("power_dec2006.npz")
        train = z["train"].astype("f8")[np.random.RandomState(0).permutation(len(z["train"]))]
        parts, beside = [train[len(train) // 10 :], train[: len(train) // 10], z["test"].astype("f8")], ""
    else:
        z = data("bsds300.npz")
        images, flags = z["train_images"], z["train_transposed"]
        index, held = z["train_image_idx"], z["valid_image_idx"]
        parts = [
            prepared(patches(images[index], flags[index], 200_000, 1), 4),
            prepared(patches(images[held], flags[held], 4_000, 2), 5),
            prepared(patches(z["test_images"], z["test_transposed"], 10_000, 3), 6),
        ]
        beside = ""
    mean, scale = parts[0].mean(0), parts[0].std(0)
    # The wines are scored in standardised units, as their publication does.
    lost = 0.0 if "wine" in name else float(np.log(scale).sum())
    return [torch.tensor((part - mean) / scale, dtype=torch.float32) for part in parts], lost, beside


def mean_nll(density: Density, x: Tensor) -> float:
    """Mean negative log-density."""
    with torch.no_grad():
        return -float(torch.cat([density(part) for part in x.split(2000)]).double().mean())


def fitted(name: str, make: Make, seconds: float, seed: int) -> dict[str, float]:
    """Held-out and validation NLL, number of parameters and number of steps, after the given CPU time of training."""
    (train, valid, test), lost, _ = rows_of(name)
    noise = 0.02 if name in NOISY else 0.0
    size = fitting_size(lambda k: size_of(make(train.shape[1], k)[0]), SIZES[name])
    torch.manual_seed(seed)
    flow, density = make(train.shape[1], size)
    spent, started = 0.0, time.process_time()
    if isinstance(flow, pf.Distribution) and train.shape[1] <= WIDEST:
        initialise(flow, train[:STARTED])
        spent = time.process_time() - started  # the start is a part of the budget
    optimiser = torch.optim.Adam(flow.parameters(), lr=RATE)
    best, kept, steps, checks = float("inf"), copy.deepcopy(flow.state_dict()), 0, 0
    while spent < seconds or not steps:
        started = time.process_time()
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * min(spent / seconds, 1.0)))
        x = train[torch.randint(len(train), (BATCH,))]
        loss = -density(x + noise * torch.randn_like(x)).mean()
        optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        if bool(norm.isfinite()):
            optimiser.step()
        steps += 1
        # The time of the validation is not counted.
        spent += time.process_time() - started
        if spent > seconds * (checks + 1) / CHECKS:
            checks += 1
            value = mean_nll(density, valid[:VALIDATED])
            if value < best:
                best, kept = value, copy.deepcopy(flow.state_dict())
    flow.load_state_dict(kept)
    found = {"nll": mean_nll(density, test) + lost, "valid": best, "parameters": size_of(flow), "steps": steps}
    return {**found, "seconds": seconds}


def chosen(name: str, flow: str, make: Make, seconds: float) -> tuple[Make, dict[str, float]]:
    """A flow with the bound whose short run has the best validation score, and that bound."""
    if flow not in BOUNDS:
        return make, {}
    scores = {b: fitted(name, partial(make, bound=b), seconds / 3, seed=100)["valid"] for b in BOUNDS[flow]}
    bound = min(scores, key=scores.__getitem__)
    return partial(make, bound=bound), {"bound": bound}


TIMED = ("NAF", "UMNN", "SOS", "Bernstein", "NSF")
"""Flows whose training steps are timed."""


def steps_in_turns(rounds: int) -> dict[str, list[float]]:
    """Median milliseconds of a training step at 8 features, batch 256 and width 64: here and in zuko, in turns."""
    x = torch.randn(256, 8)
    found = {}
    for name in TIMED:
        runs = []
        for make in (ours, theirs):
            torch.manual_seed(0)
            flow, density = make(name, 8, 16)
            runs.append((flow, density, torch.optim.Adam(flow.parameters(), lr=1e-4), []))
        for i in range(rounds + 3):
            for _flow, density, optimiser, times in runs:
                started = time.perf_counter()
                optimiser.zero_grad()
                (-density(x).mean()).backward()
                optimiser.step()
                if i >= 3:
                    times.append(1e3 * (time.perf_counter() - started))
        found[name] = [statistics.median(run[3]) for run in runs]
        print(name, found[name], flush=True)
    return found


def cell(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Mean and spread over seeds, with the number of parameters and the mean number of steps."""
    each = list(runs.values())
    bound = f", bound {each[0]['bound']:g}" if "bound" in each[0] else ""
    steps = sum(run["steps"] for run in each) / len(each)
    nll = mean_and_spread([run["nll"] for run in each])
    return f"{nll} ({each[0]['parameters'] / 1000:.0f}k, {steps:.0f}{bound})"


def body(results: dict) -> str:
    """Return the tables of what has been kept."""
    names = [name for name in SIZES if name in results]
    rows = []
    for flow in dict.fromkeys(flow for name in names for flow in results[name]["runs"]):
        cells = [results[name]["runs"].get(flow) for name in names]
        rows.append([flow, *(cell(runs) if runs else "" for runs in cells)])
    beside = ["beside", *(results[name].get("beside", "") for name in names)]
    runs = [run for name in names for seeds in results[name]["runs"].values() for run in seeds.values()]
    seconds = sorted({run["seconds"] for run in runs})
    text = (
        f"Held-out negative log-likelihood in nats after {', '.join(f'{s:g}' for s in seconds)} seconds of CPU time of training; "
        "in brackets the number of parameters, the number of steps, and the bound where validation scores chose one. Several "
        "seeds: mean and spread. Beside the toys stands the entropy, and beside the wines (fold 0, standardised) the published "
        "RNADE, a mean over folds. BSDS300: 200,000 patches to train on and 10,000 to test. zuko's NAF and UNAF have a network of "
        "their own for each feature, so on the wines they are larger than the others at the smallest width, and on BSDS300 too "
        "slow to be in the table.\n\n" + table(["flow", *names], [*rows, beside])
    )
    if "steps" in results:
        steps = [[n, f"{a:.1f}", f"{b:.1f}", f"{a / b:.2f}"] for n, (a, b) in results["steps"].items()]
        text += (
            "\n\nMilliseconds of a training step, 8 features, batch 256, width 64, 3 layers, one thread, medians in turns.\n\n"
            + table(["flow", "pushforward", "zuko", "ratio"], steps)
        )
    return text


def main() -> None:
    """Train the flows on the data sets, or measure the steps, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="*", choices=list(SIZES), default=None, help="data sets; all without --steps")
    parser.add_argument(
        "--flow", nargs="*", default=[name for name in flows() if name not in MORE], help="flows by name"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="CPU time of training in each cell")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=0, help="rounds of the measurement of steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    if options.steps:
        keep("scalar_maps", "steps", value=steps_in_turns(options.steps))
    for name in list(SIZES) if options.data is None and not options.steps else options.data or ():
        for flow, make in flows().items():
            if flow not in options.flow or (name, flow) in TOO_SLOW:
                continue
            best, bound = chosen(name, flow, make, options.seconds)
            for seed in options.seeds:
                result = fitted(name, best, options.seconds, seed) | bound
                print(name, flow, seed, result, flush=True)
                keep("scalar_maps", name, "runs", flow, str(seed), value=result)
        keep("scalar_maps", name, "beside", value=rows_of(name)[2])
    write("scalar_maps", "Scalar maps", body(known("scalar_maps")), started)


if __name__ == "__main__":
    main()
