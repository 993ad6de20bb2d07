"""Handwritten digits of scikit-learn, 8 x 8 with 17 levels, in bits per dimension: every system of images.

Published numbers for these systems are on other images; what to compare with are an independent categorical (2.434), a categorical
MADE (2.207) and a mixture of 30 Gaussians (2.672), all on this split. Noise in [0, 1) makes the levels continuous, so the numbers
are bounds: of one draw of noise, and the tighter one of the average of 64.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from common import keep, known, mean_and_spread, table, write
from pictures import LEVELS, digits, round_trip_error, score, train

from pushforward import systems
from pushforward.systems.spec import Spec

SHAPE = {"shape": (1, 8, 8), "levels": LEVELS}
ONE_SIDED = {"preprocess": "logit-one-sided"}
FLOWPP = {"first": 2, "middle": 1, "last": 0, "hidden": 24, "blocks": 1, "components": 2}
NOISE = {"noise_couplings": 2, "noise_blocks": 1, "noise_hidden": 24}
MODELS: dict[str, tuple[type[Spec], dict[str, Any], dict[str, Any]]] = {
    "NICE": (systems.ImageNICE, {"hidden": (256, 256), "dropout": 0.2}, {"epochs": 300, "lr": 1e-3}),
    "RealNVP": (systems.ImageRealNVP, {"hidden": 24, "blocks": 1}, {"epochs": 100}),
    "Glow": (systems.Glow, {"steps": 12, "hidden": 32, **ONE_SIDED}, {"epochs": 130}),
    "spline flow": (systems.ImageNSF, {"steps": 4, "hidden": 24, **ONE_SIDED}, {"epochs": 80}),
    "TarFlow": (systems.TarFlow, {"dropout": 0.1, **ONE_SIDED}, {"epochs": 90, "lr": 3e-3}),
    "Jet": (systems.Jet, {"hidden": 48, "dropout": 0.1, **ONE_SIDED}, {"epochs": 80, "lr": 3e-3}),
    "Flow++, uniform noise": (systems.FlowPP, {**FLOWPP, "dequantise": "uniform"}, {"epochs": 100}),
    "Flow++": (systems.FlowPP, {**FLOWPP, **NOISE}, {"epochs": 100}),
}
"""System, its arguments, how it is trained."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(MODELS), default=list(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    parts = digits()
    rows = [["independent categorical", "", "2.434 (exact)", "", ""]]
    for name in options.only:
        system, fields, settings = MODELS[name]
        found = []
        for seed in range(options.seeds):
            model = train(system(**SHAPE, **fields), parts, seed, **settings)
            one, many = (score(model, parts[2], samples).value for samples in (1, 64))
            found.append((one, many, round_trip_error(model, parts[2])))
            print(name, seed, *(f"{value:.4g}" for value in found[-1]), f"{time.time() - started:.0f} s", flush=True)
        parameters = sum(p.numel() for p in model.parameters())
        keep("digits", name, value={"parameters": parameters, "found": found})
    kept = known("digits")
    for name in (name for name in MODELS if name in kept):
        found = kept[name]["found"]
        one, many = (mean_and_spread([f[i] for f in found]) for i in (0, 1))
        rows.append([name, f"{kept[name]['parameters']:,}", one, many, f"{max(f[2] for f in found):.1g}"])
    body = (
        f"Test bits per dimension, at most, {options.seeds} seeds, mean ± deviation between them; and the largest error of a "
        "round trip of the test pictures through the trained layers, in float32, on the scale of the logits. Rows can be run alone with "
        "`--only`; the command and time below are those of the last run.\n\n"
        + table(["model", "parameters", "one draw of noise", "64 draws", "round trip"], rows)
    )
    write("digits", "Digits, 8 x 8", body, started)


if __name__ == "__main__":
    main()
