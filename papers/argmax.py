"""Argmax flows on tables of probabilities whose entropies are known: XOR, full-rank categoricals and Potts.

Every model learns from samples of the table. The log-likelihood of new samples is estimated by importance weighting, a lower bound
in the mean; beside it the bound of one draw that training maximises (Hoogeboom et al. 2021, arXiv:2102.05379, section 3). Nothing
here is published: the entropy is what a perfect model reaches, so that the gap is that of the flow and of its bound.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import keep, known, table, write
from discrete import XOR, entropy, potts

import pushforward as pf
from pushforward.evaluation import log_likelihoods
from pushforward.systems import ArgMaxFlow


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--samples", type=int, default=500, help="of the importance-weighted estimate")
    parser.add_argument("--only", nargs="*", help="distributions; others are taken from earlier runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    tables = {
        "XOR": XOR,
        "full rank, 5 labels of 5": np.random.default_rng(0).dirichlet(np.ones(5**5)).reshape((5,) * 5),
        "Potts 3 x 3, K = 3, J = .5": potts(3, 0.5),
    }
    for name, p in tables.items():
        if options.only and name not in options.only:
            continue
        torch.manual_seed(0)
        cumulative = torch.from_numpy(p.reshape(-1)).cumsum(0)

        def draw(n: int, cumulative: torch.Tensor = cumulative, shape: tuple[int, ...] = p.shape) -> torch.Tensor:
            places = torch.searchsorted(cumulative, torch.rand(n, dtype=torch.float64)).clamp_max(len(cumulative) - 1)
            return torch.from_numpy(np.stack(np.unravel_index(places.numpy(), shape), 1))

        flow = ArgMaxFlow(classes=p.shape, layers=4, hidden=(64, 64)).build()
        pf.fit(
            flow, draw(100_000), max_steps=options.steps, batch_size=512, lr=2e-3, schedule="linear", ema=0.99,
            progress=False,
        )  # fmt: skip
        x = draw(2000)
        with torch.no_grad():
            bound = -float(flow.log_prob(x).mean())
        weighted = -float(log_likelihoods(flow, x, samples=options.samples).mean())
        keep("argmax", name, value=[f"{bound:.3f}", f"{weighted:.3f}", f"{entropy(p):.3f}"])
        print(name, bound, weighted, entropy(p), flush=True)
    rows = [[name, *known("argmax")[name]] for name in tables if name in known("argmax")]
    body = (
        f"Nats per row of 2000 new samples, after {options.steps} steps of 512 rows: minus the bound of one draw, and minus the "
        f"importance-weighted estimate of {options.samples} draws. The error of these means is about 0.02 nats.\n\n"
        + table(["distribution", "bound", "importance-weighted", "entropy"], rows)
    )
    write("argmax", "Argmax flows", body, started)


if __name__ == "__main__":
    main()
