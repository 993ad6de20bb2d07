"""OT-Flow beside its authors' repository: one training step, from equal weights, each in a process of its own.

The setting is MINIBOONE's: 43 features, 256 hidden units, 2000 rows, 6 steps of RK4, float32, one thread. A step is the loss,
its gradient, and Adam's update. And what the closed-form trace costs beside automatic differentiation, as in the paper's
figure 2, with no repository needed.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

SIZES = {"features": 43, "hidden": 256, "rows": 2000, "steps": 6}
ALPHA = (1.0, 100.0, 15.0)
HALF = torch.tensor(0.5)


def ours(sizes: dict[str, int], repeat: int, gradient: str) -> dict[str, float]:
    """Seconds of the fastest step, its loss and the peak memory."""
    import pushforward as pf
    from pushforward.systems import OTFlow

    spec = OTFlow(
        features=sizes["features"], hidden=sizes["hidden"], steps=sizes["steps"], alpha_c=ALPHA[1], alpha_r=ALPHA[2],
        gradient=gradient,  # type: ignore[arg-type]
    )  # fmt: skip
    flow = spec.build()
    potential = flow.chain.layers[0].velocity
    weights = shared(sizes)
    names = {"first": "K0", "residual.0": "K1", "linear": "c"}
    state = {
        f"{mine}.{part}": weights[f"{theirs}.{part}"] for mine, theirs in names.items() for part in ("weight", "bias")
    }
    potential.load_state_dict({**state, "out": weights["w"].flatten(), "quadratic": weights["A"]})
    objective = pf.objectives.default_objective(flow).train()
    optimiser = torch.optim.Adam([p for p in flow.parameters() if p.requires_grad], lr=1e-9)
    return measured(lambda: ALPHA[1] * objective((weights["x"],)), optimiser, repeat)


def theirs(sizes: dict[str, int], repeat: int, folder: str) -> dict[str, float]:
    """The same of the repository in a folder."""
    sys.path.insert(0, folder)
    from src.OTFlowProblem import OTFlowProblem
    from src.Phi import Phi

    net = Phi(nTh=2, m=sizes["hidden"], d=sizes["features"], alph=list(ALPHA))
    weights = shared(sizes)
    net.load_state_dict(
        {
            "A": weights["A"],
            "w.weight": weights["w"],
            **{f"c.{part}": weights[f"c.{part}"] for part in ("weight", "bias")},
            **{f"N.layers.{i}.{part}": weights[f"K{i}.{part}"] for i in (0, 1) for part in ("weight", "bias")},
        }
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-9)
    return measured(
        lambda: OTFlowProblem(weights["x"], net, [0, 1], nt=sizes["steps"], stepper="rk4", alph=net.alph)[0],
        optimiser,
        repeat,
    )


def shared(sizes: dict[str, int]) -> dict[str, torch.Tensor]:
    """The weights and rows that both are given."""
    g = torch.Generator().manual_seed(0)
    d, m = sizes["features"], sizes["hidden"]

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=g)

    return {
        "K0.weight": normal(m, d + 1) / (d + 1) ** 0.5, "K0.bias": 0.1 * normal(m),
        "K1.weight": normal(m, m) / m**0.5, "K1.bias": 0.1 * normal(m),
        "w": normal(1, m) / m**0.5, "A": normal(min(10, d + 1), d + 1) / (d + 1) ** 0.5,
        "c.weight": 0.1 * normal(1, d + 1), "c.bias": torch.zeros(1),
        "x": normal(sizes["rows"], d),
    }  # fmt: skip


def measured(loss_of: object, optimiser: torch.optim.Optimizer, repeat: int) -> dict[str, float]:
    """Steps; the loss is that of the first."""
    best, first = float("inf"), None
    for _ in range(repeat):
        begin = time.perf_counter()
        optimiser.zero_grad()
        loss = loss_of()  # type: ignore[operator]
        loss.backward()
        optimiser.step()
        best = min(best, time.perf_counter() - begin)
        first = float(loss) if first is None else first
    return {"seconds": best, "loss": first, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}  # type: ignore[dict-item]


def products(sizes: dict[str, int]) -> float:
    """Seconds of the matrix products that no step can do without: K_1 times all Jacobians, and twice that for its gradient."""
    k = torch.randn(sizes["hidden"], sizes["hidden"])
    j = torch.randn(sizes["hidden"], 64 * sizes["features"])
    k @ j
    begin = time.perf_counter()
    for _ in range(50):
        k @ j
    once = (time.perf_counter() - begin) / 50
    return once * sizes["rows"] / 64 * 4 * sizes["steps"] * 3


def traces(rows: int = 512, repeat: int = 5) -> list[tuple[int, float, float]]:
    """(d, ratio without gradient, ratio with one) of the trace of the Hessian: d automatic gradients over the closed form."""
    from pushforward.networks import Potential

    found = []
    for d in (2, 8, 16, 43, 64):
        potential = Potential(d, SIZES["hidden"])
        x = torch.randn(rows, d)

        def closed(potential: Potential = potential, x: torch.Tensor = x) -> torch.Tensor:
            return -potential.rates(HALF, x)[1]

        def automatic(potential: Potential = potential, x: torch.Tensor = x) -> torch.Tensor:
            leaf, kept = x.clone().requires_grad_(), torch.is_grad_enabled()
            with torch.enable_grad():
                (gradient,) = torch.autograd.grad(potential.value(HALF, leaf).sum(), leaf, create_graph=True)
                parts = [
                    torch.autograd.grad(gradient[:, i].sum(), leaf, retain_graph=True, create_graph=kept)[0][:, i]
                    for i in range(x.shape[1])
                ]
            return torch.stack(parts).sum(0)

        times: list[list[float]] = [[], []]
        for learned in (False, True):
            for run, kept in zip((closed, automatic), times, strict=True):
                best = float("inf")
                for _ in range(repeat):
                    begin = time.perf_counter()
                    with torch.set_grad_enabled(learned):
                        trace = run()
                    if learned:
                        trace.sum().backward()
                    best = min(best, time.perf_counter() - begin)
                kept.append(best)
        found.append((d, times[1][0] / times[0][0], times[1][1] / times[0][1]))
    return found


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--authors", help="folder with the authors' repository; without it, ours alone is measured")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    for name, value in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = {name: getattr(options, name) for name in SIZES}
    if options.only:
        found = theirs(sizes, options.repeat, options.authors) if options.only == "authors" else ours(
            sizes, options.repeat, options.only
        )  # fmt: skip
        print(json.dumps(found))
        return
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for who in ("direct", "checkpoint", *(["authors"] if options.authors else [])):
            command = [sys.executable, str(Path(__file__).resolve()), "--only", who, "--repeat", str(options.repeat)]
            command += [f"--{name}={value}" for name, value in sizes.items()]
            command += ["--authors", options.authors] if options.authors else []
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{who}: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}")
            runs.setdefault(who, []).append(json.loads(done.stdout))
    text = report(sizes, runs)
    print(text)
    if options.authors and sizes == SIZES:
        Path(__file__).with_name("OTFLOW.md").write_text(text)


NAMES = {
    "direct": "Pushforward",
    "checkpoint": "Pushforward, a state kept a step",
    "authors": "the authors' repository",
}


def report(sizes: dict[str, int], runs: dict[str, list[dict[str, float]]]) -> str:
    """The page."""
    least, reference = products(sizes), min(r["seconds"] for r in runs["direct"])
    rows = [
        f"| {NAMES[who]} | {min(r['seconds'] for r in found) / reference:.2f} | "
        f"{min(r['seconds'] for r in found) / least:.2f} | {found[0]['peak']:.2f} | {found[0]['loss']:.6f} |"
        for who, found in runs.items()
    ]
    ratios = [f"| {d} | {alone:.1f} | {learned:.1f} |" for d, alone, learned in traces()]
    setting = ", ".join(f"{name} {value}" for name, value in sizes.items())
    return "\n".join(
        [
            "# OT-Flow",
            "",
            "`python benchmarks/otflow.py --authors FOLDER`, FOLDER with the authors' repository.",
            f"One thread, {setting}, float32; {platform.machine()}, Python {platform.python_version()},",
            f"torch {torch.__version__}.",
            "",
            "## A training step",
            "",
            "Of the fastest step of each, in turns, each in a process of its own, from equal weights. The floor is the matrix",
            "products that no step can do without: K_1 times all Jacobians, and their two gradients.",
            "",
            "| | time, relative | over the floor | peak memory, GB | loss |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            "## The trace of the Hessian",
            "",
            "Time of one gradient for each coordinate by automatic differentiation, over that of the closed form; 256 hidden",
            "units, 512 rows.",
            "",
            "| d | alone | with its gradient |",
            "| --- | --- | --- |",
            *ratios,
            "",
        ]
    )


if __name__ == "__main__":
    main()
