"""Handwritten digits of scikit-learn, 8 x 8 with 17 levels, in bits per dimension: NICE and RealNVP.

Published numbers for these systems are on other images; the rows to compare with are an independent categorical (2.434) and a
mixture of 30 Gaussians (2.672), both on this split. Levels get uniform noise in [0, 1), anew at every step: a lower bound.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from common import mean_and_spread, table, write
from sklearn.datasets import load_digits
from torch import Tensor, nn

import pushforward as pf
from pushforward.core import Box, Chain, Flow, Real
from pushforward.transforms import Logit, Standardise

D, LEVELS = 64, 17


class Dequantised(nn.Module):
    """Negative log-likelihood of levels with fresh uniform noise.

    Args:
        model: density on [0, 17)^64.
    """

    def __init__(self, model: pf.Distribution) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean nats of a batch (x,)."""
        return -self.model(batch[0] + torch.rand_like(batch[0])).mean()


def split() -> tuple[Tensor, Tensor, Tensor]:
    """1200 training, 300 validation and 297 test images, and a check of the split."""
    x = load_digits().data[np.random.RandomState(0).permutation(1797)]
    train, test = x[:1200], x[1500:]
    counts = np.stack([(train == level).sum(0) + 1 for level in range(LEVELS)])
    logp = np.log2(counts / counts.sum(0))
    bits = -np.mean([logp[test[:, i].astype(int), i].mean() for i in range(D)])
    if abs(bits - 2.434) > 0.001:
        raise SystemExit(f"expected the independent categorical at 2.434 bits/dim, got {bits:.4f}: another split")
    return tuple(torch.as_tensor(part, dtype=torch.float32) for part in (train, x[1200:1500], test))  # type: ignore[return-value]


def nice(train: Tensor) -> Flow:
    """Standardised pixels, 4 additive couplings of 2 x 256 hidden units, logistic prior."""
    inner = pf.systems.NICE(features=D, layers=4, hidden=(256, 256)).build()
    scale = (train + 0.5).std(0).clamp_min(0.3)
    return Flow(Chain(Standardise(Real((D,)), (train + 0.5).mean(0), scale), *inner.chain.layers), inner.base)


def realnvp(train: Tensor) -> Flow:
    """Logit pixels, 8 affine couplings with random halves."""
    inner = pf.systems.RealNVP(features=D, layers=8, hidden=(192, 192), mask="random", dropout=0.2).build()
    logit = Logit(Box((D,), -0.9, LEVELS + 0.9))
    return Flow(Chain(logit, Standardise(Real((D,))), *inner.chain.layers), inner.base)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    train, valid, test = split()
    rows = [["independent categorical", "2.434", ""]]
    for name, make in (("NICE", nice), ("RealNVP", realnvp)):
        scores = []
        for seed in range(options.seeds):
            torch.manual_seed(seed)
            flow = make(train)
            pf.fit(
                flow,
                train,
                validation=(valid, None),
                objective=Dequantised(flow),
                lr=1e-3,
                batch_size=100,
                epochs=options.epochs,
                patience=60,
                weight_decay=1e-3,
                ema=0.995,
                seed=seed,
                progress=False,
            )
            with torch.no_grad():
                draws = [flow.log_prob(test + torch.rand_like(test)) for _ in range(64)]
            one = -float(torch.stack(draws).mean()) / (D * math.log(2))
            many = -float((torch.stack(draws).logsumexp(0) - math.log(64)).mean()) / (D * math.log(2))
            scores.append((one, many))
            print(name, scores[-1], flush=True)
        rows.append([name, mean_and_spread([s[0] for s in scores]), mean_and_spread([s[1] for s in scores])])
    body = f"Test bits per dimension, {options.seeds} seeds, mean ± deviation.\n\n" + table(
        ["model", "lower bound of the likelihood, one draw of noise", "64 draws"], rows
    )
    write("digits", "Digits, 8 x 8", body, started)


if __name__ == "__main__":
    main()
