"""Free-form flow on 8 Gaussians: approximate likelihood, the mass of its density by quadrature, and the quality of its samples."""

from __future__ import annotations

import time

import torch
from common import keep, known, mean_and_spread, table, write
from equal_size import fitted, options_of, parameters

from pushforward.distributions.toy import eight_gaussians
from pushforward.systems import FreeFormFlow

EXPERIMENTS = {
    "surrogate": FreeFormFlow(features=2, hidden=(256, 256, 256)),
    "exact gradient": FreeFormFlow(features=2, hidden=(256, 256, 256), gradient="exact"),
}
SIDE = 400
"""Points of the quadrature along each axis, on [-6, 6]."""


def measured(spec: FreeFormFlow, seed: int, steps: int) -> dict[str, float]:
    """Train, and measure."""
    density = eight_gaussians()
    flow, seconds = fitted(spec, density.sample(50_000, seed), seed, steps)
    axis = torch.linspace(-6, 6, SIDE)
    held = density.sample(20_000, seed + 1000)
    with torch.no_grad():
        mass = float(flow.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2)
        _, _, penalties = flow.chain.forward_aux(held)
        return {
            "nll": float(-flow.log_prob(held).mean()),
            "mass": mass,
            "error": float(penalties["reconstruction"].mean().sqrt()),
            "far": float(density.far(flow.sample(10_000))),
            "samples": float(-density.log_prob(flow.sample(10_000)).mean()),
            "seconds": seconds,
            "parameters": parameters(flow),
            "steps": steps,
        }


def main() -> None:
    """Run everything and print the table."""
    options = options_of(__doc__, EXPERIMENTS)
    torch.set_num_threads(1)
    started = time.time()
    for name in options.only:
        for seed in options.seeds:
            found = measured(EXPERIMENTS[name], seed, options.steps)
            print(name, seed, found, flush=True)
            keep("free_form", name, str(seed), value=found)
    rows = []
    for name, runs in known("free_form").items():
        each = list(runs.values())
        columns = [
            mean_and_spread([run[what] for run in each])
            for what in ("nll", "mass", "error", "samples", "far", "seconds")
        ]
        rows.append([name, *columns, f"{each[0]['steps']:,}", f"{each[0]['parameters']:,}"])
    body = (
        "Approximate negative log-likelihood in nats on 20,000 fresh rows (the entropy is "
        f"{eight_gaussians().entropy:.4f}), total mass of the density by quadrature on {SIDE} x {SIDE} points, error of the "
        "reconstruction (root mean square), mean of -log p* of samples (the entropy for perfect ones), and the share of samples "
        "farther than 5 deviations from every mode.\n\n"
    )
    head = ["gradient", "NLL", "mass", "reconstruction", "samples", "far samples", "seconds", "steps", "parameters"]
    write("free_form", "Free-form flow", body + table(head, rows), started)


if __name__ == "__main__":
    main()
