"""Flows as posteriors of six models of posteriordb, against its reference draws.

Each model is fitted from its log-density alone, in unconstrained parameters, by `posteriors.fit` with its defaults; means and standard
deviations of the importance-resampled draws are compared with those of 10,000 reference draws.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import table, write
from posterior_models import NAMES, load

import pushforward as pf


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--flow", default="nsf")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    rows = []
    for name in options.only:
        posterior = load(name)
        began = time.process_time()
        fit = pf.posteriors.fit(
            posterior.log_density,
            posterior.space,
            flow=options.flow,
            steps=options.steps,
            samples=options.samples,
            draws=10_000,
            dtype=torch.float64,
        )
        seconds = time.process_time() - began
        draws = {k: torch.as_tensor(v).flatten(0, 1) for k, v in fit.draws.items()}
        reported = {k: v.numpy() for k, v in posterior.reported(draws).items()}
        means, deviations = [], []
        for parameter, reference in posterior.draws.items():
            means.append(abs(reported[parameter].mean() - reference.mean()) / reference.std())
            deviations.append(abs(reported[parameter].std() / reference.std() - 1))
        rows.append(
            [
                name,
                str(fit.target.features),
                f"{np.max(means):.3f}",
                f"{np.max(deviations):.1%}",
                f"{fit.k_hat:.2f}",
                f"{fit.ess:.3f}",
                str(fit.elbo),
                str(fit.log_z),
                f"{seconds:.0f}",
                "yes" if fit.trustworthy else fit.verdict,
            ]
        )
        print(rows[-1], flush=True)
    head = [
        "posterior",
        "parameters",
        "worst mean (s.d.)",
        "worst s.d.",
        "k-hat",
        "ESS",
        "bound",
        "log Z",
        "CPU-seconds",
        "trusted",
    ]
    body = (
        f"{options.flow}, at most {options.steps} steps of {options.samples} draws after a Gaussian start, float64, one seed. The worst of all "
        "parameters and reported quantities; to be reached: .1 deviations, 10 %, k-hat .7.\n\n" + table(head, rows)
    )
    write("posteriors", "Posteriors of posteriordb", body, started)


if __name__ == "__main__":
    main()
