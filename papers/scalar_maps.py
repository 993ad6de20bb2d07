"""Autoregressive flows that differ in their scalar map, beside zuko's: held-out likelihood after equal time, and time of a step.

All flows have three layers without linear layers, the order of the features reversed in every other one, and masked networks
whose width is chosen so that every flow has about the same number of parameters. Each is trained for the same CPU time on one
core, with one seed, the same optimiser, schedule and batch size; the weights with the best validation score are kept. Run it
where zuko is installed (`make conformance` makes such an environment); without zuko its rows are left out.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from common import data, keep, known, table, write
from torch import Tensor, nn

import pushforward as pf
from pushforward.distributions.toy import CheckerboardDensity, eight_gaussians

LAYERS, BATCH, RATE = 3, 256, 3e-3
SIZES = {"8 Gaussians": 30_000, "checkerboard": 30_000, "white wine": 60_000, "POWER": 60_000}
Density = Callable[[Tensor], Tensor]

OURS: dict[str, Callable[..., pf.systems.VectorSpec]] = {
    "NAF": partial(pf.systems.NAF, depth=1, sigmoids=16),
    "NAF, dense": partial(pf.systems.NAF, map="dense", sigmoids=4),
    "UMNN": pf.systems.UMNN,
    "SOS": pf.systems.SOS,
    "Bernstein": pf.systems.BernsteinFlow,
    "NSF": pf.systems.NSF,
    "NSF, linear-rational": partial(pf.systems.NSF, spline="linear-rational"),
    "Bent, cubic-rational": pf.systems.BentFlow,
    "Bent, sinh": partial(pf.systems.BentFlow, map="sinh"),
}
THEIRS = {"NAF": "NAF", "UMNN": "UNAF", "SOS": "SOSPF", "Bernstein": "BPF", "NSF": "NSF"}


def ours(name: str, features: int, hidden: int) -> tuple[nn.Module, Density]:
    """This library's flow and its log-density."""
    flow = OURS[name](features=features, layers=LAYERS, hidden=hidden, blocks=1, linear=False).build()
    return flow, flow.log_prob


def theirs(name: str, features: int, hidden: int) -> tuple[nn.Module, Density]:
    """zuko's flow and its log-density."""
    import zuko.flows

    flow = getattr(zuko.flows, THEIRS[name])(features, transforms=LAYERS, hidden_features=(hidden,) * 3)
    return flow, lambda x: flow().log_prob(x)


def flows() -> dict[str, Callable[[int, int], tuple[nn.Module, Density]]]:
    """Functions of the number of features and the width, for all flows whose library is installed."""
    made = {name: partial(ours, name) for name in OURS}
    if importlib.util.find_spec("zuko"):
        made |= {f"{name}, zuko": partial(theirs, name) for name in THEIRS}
    return made


def size_of(flow: nn.Module) -> int:
    """Number of parameters that are trained."""
    return sum(p.numel() for p in flow.parameters() if p.requires_grad)


def width_of(size: Callable[[int], int], wanted: int) -> int:
    """Width, a multiple of 4 from 12 to 256, whose flow has a size near the wanted one; the size grows with the width."""
    low, high = 3, 64
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(4 * middle) <= wanted else (low, middle)
    return 4 * low


def rows_of(name: str) -> tuple[list[Tensor], float, str]:
    """Standardised rows to train on, to validate and to test; nats lost by the scaling; and what to compare with."""
    if name in ("8 Gaussians", "checkerboard"):
        density = eight_gaussians() if name == "8 Gaussians" else CheckerboardDensity()
        parts = [density.sample(n, seed=i).double().numpy() for i, n in enumerate((20_000, 4_000, 20_000))]
        beside = f"{density.entropy:.4f}"
    elif name == "white wine":
        z = data("uci_rnade.npz")
        x, fold = z["whitewine"].astype("f8"), z["whitewine_fold"]
        rest = x[fold != 0][np.random.RandomState(0).permutation((fold != 0).sum())]
        parts = [rest[len(rest) // 10 :], rest[: len(rest) // 10], x[fold == 0]]
        beside = "10.23"
    else:
        z = data("power_dec2006.npz")
        train = z["train"].astype("f8")[np.random.RandomState(0).permutation(len(z["train"]))]
        parts = [train[len(train) // 10 :], train[: len(train) // 10], z["test"].astype("f8")]
        beside = ""
    mean, scale = parts[0].mean(0), parts[0].std(0)
    # White wine is scored in standardised units, as its publication does.
    lost = 0.0 if name == "white wine" else float(np.log(scale).sum())
    return [torch.tensor((part - mean) / scale, dtype=torch.float32) for part in parts], lost, beside


def mean_nll(density: Density, x: Tensor) -> float:
    """Mean negative log-density."""
    with torch.no_grad():
        return -float(torch.cat([density(part) for part in x.split(4096)]).double().mean())


def fitted(name: str, make: Callable[[int, int], tuple[nn.Module, Density]], seconds: float, seed: int) -> list[float]:
    """Held-out NLL, number of parameters and number of steps, after the given CPU time of training."""
    (train, valid, test), lost, _ = rows_of(name)
    noise = 0.02 if name in ("white wine", "POWER") else 0.0
    width = width_of(lambda h: size_of(make(train.shape[1], h)[0]), SIZES[name])
    torch.manual_seed(seed)
    flow, density = make(train.shape[1], width)
    optimiser = torch.optim.Adam(flow.parameters(), lr=RATE)
    best, kept, steps, spent, checks = float("inf"), copy.deepcopy(flow.state_dict()), 0, 0.0, 0
    while spent < seconds:
        started = time.process_time()
        for group in optimiser.param_groups:
            group["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * spent / seconds))
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
        if spent > seconds * (checks + 1) / 10:
            checks += 1
            value = mean_nll(density, valid[:4000])
            if value < best:
                best, kept = value, copy.deepcopy(flow.state_dict())
    flow.load_state_dict(kept)
    return [mean_nll(density, test) + lost, size_of(flow), steps]


def steps_in_turns(rounds: int) -> dict[str, list[float]]:
    """Median milliseconds of a training step at 8 features, batch 256 and width 64: here and in zuko, in turns."""
    x = torch.randn(256, 8)
    found = {}
    for name in THEIRS:
        runs = []
        for make in (ours, theirs):
            torch.manual_seed(0)
            flow, density = make(name, 8, 64)
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


def body(results: dict) -> str:
    """Return the tables of what has been kept."""
    names = [name for name in SIZES if name in results]
    rows = []
    for flow in dict.fromkeys(flow for name in names for flow in results[name]["flows"]):
        cells = [results[name]["flows"].get(flow) for name in names]
        rows.append([flow, *(f"{c[0]:.4f} ({c[1] / 1000:.0f}k, {c[2]})" if c else "" for c in cells)])
    beside = ["beside", *(results[name].get("beside", "") for name in names)]
    seconds = {results[name].get("seconds", 10.0) for name in names}
    text = (
        f"Held-out negative log-likelihood in nats after {', '.join(f'{s:g}' for s in sorted(seconds))} seconds of CPU time of "
        "training (`--data NAME --seconds S` for each column), seed 0; in brackets the number of parameters and of steps. Beside the toys stands the entropy, and beside "
        "white wine (fold 0, standardised) the published RNADE, a mean over folds. zuko's NAF and UNAF have a network of their own for "
        "each feature, so on white wine they are larger than the others at the smallest width.\n\n"
        + table(["flow", *names], [*rows, beside])
    )
    if "steps" in results:
        steps = [[n, f"{a:.1f}", f"{b:.1f}", f"{a / b:.2f}"] for n, (a, b) in results["steps"].items()]
        text += (
            "\n\nMilliseconds of a training step, 8 features, batch 256, width 64, 3 layers, one thread, medians in turns.\n\n"
            + table(["flow", "pushforward", "zuko", "ratio"], steps)
        )
    return text


def main() -> None:
    """Train the flows on one data set, or measure the steps, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=list(SIZES))
    parser.add_argument("--flow", help="only the flow of this name")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--steps", type=int, default=0, help="rounds of the measurement of steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    if options.steps:
        keep("scalar_maps", "steps", value=steps_in_turns(options.steps))
    if options.data:
        for name, make in flows().items():
            if options.flow not in (None, name):
                continue
            result = fitted(options.data, make, options.seconds, seed=0)
            print(options.data, name, result, flush=True)
            keep("scalar_maps", options.data, "flows", name, value=result)
        keep("scalar_maps", options.data, "seconds", value=options.seconds)
        keep("scalar_maps", options.data, "beside", value=rows_of(options.data)[2])
    write("scalar_maps", "Scalar maps", body(known("scalar_maps")), started)


if __name__ == "__main__":
    main()
