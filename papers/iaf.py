"""IAF as a posterior (Kingma et al. 2016, arXiv:1606.04934): the gap of a mean-field Gaussian, closed.

The target is a Gaussian with full covariance, so the best mean-field fit lacks exactly 1/2 (sum log L_ii - log |L|) nats, L its
precision. One autoregressive step can represent it.
"""

from __future__ import annotations

import argparse
import time

import torch
from common import mean_and_spread, table, write

import pushforward as pf


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(options.features, options.features, generator=generator) / options.features**0.5
    covariance = root @ root.mT + 0.1 * torch.eye(options.features)
    target = torch.distributions.MultivariateNormal(torch.zeros(options.features), covariance)
    precision = torch.linalg.inv(covariance)
    gap = float(precision.diagonal().log().sum() - torch.linalg.slogdet(precision)[1]) / 2
    rows = [["mean-field Gaussian, optimum", f"{gap:.4f}"]]
    for layers in (1, 2):
        divergences = []
        for seed in range(options.seeds):
            torch.manual_seed(seed)
            flow = pf.systems.IAF(features=options.features, layers=layers, hidden=(64,)).build()
            optimiser = torch.optim.Adam(flow.parameters(), lr=3e-3)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.steps)
            for _ in range(options.steps):
                x, logq = flow.rsample_and_log_prob(256)
                loss = (logq - target.log_prob(x)).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            x, logq = flow.sample_and_log_prob(50_000)
            divergences.append(float((logq - target.log_prob(x)).mean()))
        rows.append([f"IAF, {layers} step{'s' * (layers > 1)}", mean_and_spread(divergences)])
        print(rows[-1], flush=True)
    body = (
        f"KL from the fit to a Gaussian target in {options.features} dimensions, nats, 50,000 draws, {options.seeds} seeds.\n\n"
        + table(["posterior", "KL"], rows)
    )
    write("iaf", "IAF closes the mean-field gap", body, started)


if __name__ == "__main__":
    main()
