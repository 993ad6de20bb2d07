"""Continuous flows on 8 Gaussians and on POWER's first 26 days: OT-Flow, FFJORD and flow matching, likelihood beside time.

Log-likelihoods are those of the exactly solved flows (`pf.exactly`), on held-out rows. "Energy / displacement" is
E T int |v|^2 dt / E |z - x|^2 of the flow's own paths, 1 where they are straight with constant speed; "energy / W2^2" compares with
the least cost between data and noise. "FFJORD, published solver" is Dormand and Prince's adaptive one with the adjoint, at
tolerance 1e-5; "FFJORD" is our default, RK4 with the gradient through its steps.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from common import data, keep, known, table, write

import pushforward as pf
from pushforward.distributions.toy import eight_gaussians
from pushforward.evaluation import check_solver, straightness
from pushforward.functional.ode import Fixed
from pushforward.training import evaluate

TOY: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "OT-Flow": (
        {"system": "otflow", **pf.systems.OTFlow.presets["toy"]},
        {"batch_size": 512, "lr": 0.03, "max_steps": 1000},
    ),
    "OT-Flow, alpha_r = 0": (
        {"system": "otflow", **pf.systems.OTFlow.presets["toy"], "alpha_r": 0.0},
        {"batch_size": 512, "lr": 0.03, "max_steps": 1000},
    ),
    "FFJORD": ({"system": "ffjord"}, {"batch_size": 512, "lr": 0.005, "max_steps": 1000}),
    "FFJORD, published solver": (
        {"system": "ffjord", **pf.systems.FFJORD.presets["toy"]},
        {"batch_size": 512, "lr": 0.005, "max_steps": 1000, "max_seconds": 600.0},
    ),
    "flow matching, OT-CFM": (
        {"system": "flow-matching", "hidden": (64, 64, 64)},
        {"batch_size": 64, "lr": 0.004, "max_steps": 8000},
    ),
    "flow matching, I-CFM": (
        {"system": "flow-matching", "hidden": (64, 64, 64), "bridge": "independent"},
        {"batch_size": 256, "lr": 0.004, "max_steps": 8000},
    ),
}
POWER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "OT-Flow": (
        {"system": "otflow", **pf.systems.OTFlow.presets["power"]},
        {"batch_size": 1000, "lr": 0.03},
    ),
    "FFJORD": ({"system": "ffjord", "hidden": (60, 60, 60)}, {"batch_size": 1000, "lr": 0.003}),
    "FFJORD, published solver": (
        {"system": "ffjord", "hidden": (60, 60, 60), "solver": "adaptive", "gradient": "adjoint"},
        {"batch_size": 1000, "lr": 0.003},
    ),
    "flow matching, OT-CFM": (
        {"system": "flow-matching", "hidden": (128, 128, 128)},
        {"batch_size": 256, "lr": 0.002},
    ),
}


def trained(
    spec: dict[str, Any], options: dict[str, Any], x: torch.Tensor, valid: torch.Tensor, seed: int
) -> tuple[pf.Flow, float, list[tuple[float, float]]]:
    """The flow, seconds, and the curve of (seconds, validation log-likelihood)."""
    torch.manual_seed(seed)
    fields = dict(spec)
    flow = pf.build(fields.pop("system"), features=x.shape[1], **fields)
    epochs = max(1, options.get("max_steps", 10**9) * options["batch_size"] // len(x) + 1)
    curve: list[tuple[float, float]] = []
    started = time.perf_counter()

    def note(record: dict[str, Any]) -> None:
        curve.append((record["seconds"], record["validation"]))

    pf.fit(
        flow, x, validation=(valid, None), progress=False, seed=seed, weight_decay=0.0, callbacks=[note],
        **{"schedule": "cosine", "epochs": min(epochs, 1000), "patience": 10**6, **options},
    )  # fmt: skip
    return flow, time.perf_counter() - started, curve


def measured(flow: Any, test: torch.Tensor) -> dict[str, float]:
    """Likelihood solved exactly and by 2, 4, 8 and 64 steps, straightness, time of drawing."""
    check = check_solver(flow, test, rows=2000)
    exact = float(evaluate(pf.exactly(flow), test[:10000]).mean())
    found = {"exact": exact, "change": check.change if check else 0.0, "round_trip": check.round_trip if check else 0.0}
    layer = flow.chain.layers[0]
    scoring = layer.scoring
    for steps in (2, 4, 8, 64):
        layer.scoring = Fixed(steps)
        found[f"at {steps}"] = float(evaluate(flow, test[:10000]).mean())
    layer.scoring = scoring
    straight = straightness(flow, test, rows=1500)
    begin = time.perf_counter()
    flow.sample(2000)
    return found | {
        "ratio": straight.ratio,
        "normalised": straight.normalised,
        "drawing": time.perf_counter() - begin,
        "parameters": sum(p.numel() for p in flow.parameters()),
    }


def seconds_to(curve: list[list[float]], score: float) -> float | None:
    """When the validation log-likelihood first was that good."""
    return next((t for t, value in curve if value >= score), None)


def main() -> None:
    """Train what is asked for, keep the numbers, print all that is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--data", default="", choices=["", "8 Gaussians", "POWER"])
    parser.add_argument("--minutes", type=float, default=4.0, help="for each model of POWER")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="train nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    density = eight_gaussians()
    sets = {"8 Gaussians": (TOY, *(density.sample(n, seed=s) for s, n in enumerate((50_000, 2_000, 10_000))))}
    if not options.show and options.data != "8 Gaussians":
        z = data("power_dec2006.npz")
        parts = (torch.as_tensor(z[name]) for name in ("train", "valid", "test"))
        sets["POWER"] = (POWER, *parts)  # type: ignore[assignment]
    for name, (models, x, valid, test) in sets.items():
        for label, (spec, training) in models.items():
            if options.show or options.only not in label or options.data not in ("", name):
                continue
            limit = {} if name == "8 Gaussians" else {"max_seconds": 60 * options.minutes, "schedule": "plateau"}
            flow, seconds, curve = trained(spec, {**training, **limit}, x, valid, options.seed)
            found = {"seconds": seconds, "curve": curve, **measured(flow, test)}
            keep("continuous", f"{name}: {label}", value=found)
            print(name, label, {k: v for k, v in found.items() if k != "curve"}, flush=True)
    note = "\n\nTrained row by row, with `--only` and `--data`; `--show` prints what is known. One thread of two cores."
    write("continuous", "Continuous flows", body(known("continuous"), density.entropy) + note, started)


def body(kept: dict[str, Any], entropy: float) -> str:
    """The tables."""
    parts = [" ".join((__doc__ or "").split("\n\n")[1].split())]
    for name, note in (("8 Gaussians", f"entropy {entropy:.4f}"), ("POWER", "")):
        rows = {key.split(": ")[1]: v for key, v in kept.items() if key.startswith(f"{name}: ")}
        if not rows:
            continue
        reference = rows.get("OT-Flow")
        lines = []
        for label, found in rows.items():
            slower = f"{found['drawing'] / reference['drawing']:.1f} x" if reference else ""
            lines.append(
                [
                    label if name == "8 Gaussians" else f"{label} on {name}", f"{found['parameters']:,}", f"{-found['exact']:.4f}", f"{found['seconds']:.0f} s",
                    f"{found['ratio']:.3f}", f"{found['normalised']:.3f}", slower,
                ]
            )  # fmt: skip
        head = [
            "model",
            "parameters",
            "NLL, nats",
            "training",
            "energy / displacement",
            "energy / W2^2",
            "drawing, to OT-Flow",
        ]
        parts.append(f"**{name}**" + (f", {note}" if note else "") + "\n\n" + table(head, lines))
        steps = [
            [label, *(f"{found['at 64'] - found[f'at {n}']:+.4f}" for n in (2, 4, 8))] for label, found in rows.items()
        ]
        parts.append("NLL with so many steps of RK4, minus that with 64:\n\n" + table(["model", "2", "4", "8"], steps))
        if reference and "FFJORD, published solver" in rows:
            theirs = rows["FFJORD, published solver"]["curve"]
            goal = min(max(v for _, v in reference["curve"]), max(v for _, v in theirs))
            times = {
                k: seconds_to(rows[k]["curve"], goal)
                for k in ("OT-Flow", "FFJORD", "FFJORD, published solver")
                if k in rows
            }
            reached = ", ".join(f"{k} {t:.0f} s" for k, t in times.items() if t is not None)
            parts.append(f"Time to a validation log-likelihood of {goal:.3f}, the best that both reached: {reached}.")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
