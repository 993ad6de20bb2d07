"""Residual flows on 8 Gaussians: likelihood, the inverse against iterations, and three log-determinants on the trained model.

The bound of the Lipschitz constant is 0.98 a block. "Series" is i-ResNet's truncated series, whose bias is measured against the
whole Jacobian; "roulette" draws the number of terms, and should have none. Estimates are means over the test rows, 50 draws each. A flow
trained with the series learns to please it: what it says of itself is below the entropy, which no density can be.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from common import mean_and_spread, table, write

import pushforward as pf
from pushforward.distributions.toy import eight_gaussians
from pushforward.functional.fixed_point import contracted
from pushforward.transforms import Residual


def trained(seed: int, steps: int, **fields: Any) -> tuple[pf.Flow, float]:
    """The flow and the seconds of its training."""
    density = eight_gaussians()
    torch.manual_seed(seed)
    flow = pf.systems.ResidualFlow(features=2, layers=10, hidden=(64, 64), lipschitz=0.98, **fields).build()
    x, valid = density.sample(50_000, seed=3 * seed), density.sample(2_000, seed=3 * seed + 1)
    begin = time.perf_counter()
    pf.fit(
        flow, x, validation=(valid, None), progress=False, seed=seed, batch_size=512, lr=5e-3, schedule="cosine",
        epochs=max(1, steps * 512 // len(x)), patience=10**6, weight_decay=0.0,
    )  # fmt: skip
    return flow, time.perf_counter() - begin


def blocks(flow: pf.Flow) -> list[Residual]:
    """Its residual layers."""
    return [layer for layer in flow.chain.layers if isinstance(layer, Residual)]  # type: ignore[attr-defined]


@torch.no_grad()
def iterations(flow: pf.Flow, x: torch.Tensor) -> list[list[str]]:
    """The largest error over all blocks after so many iterations, plain and accelerated, and the bound that is certain."""
    flow = flow.double().eval()
    v, pairs = x.double(), []
    for layer in flow.chain.layers:  # type: ignore[attr-defined]
        z = layer(v)[0]
        if isinstance(layer, Residual):
            pairs.append((layer, v, z))
        v = z
    rows = []
    for count in (5, 10, 20, 30, 50):
        plain = fast = bound = 0.0
        for layer, v, z in pairs:
            weights, found = layer.net.weights(), z
            for _ in range(count):
                found = z - layer.net(found, None, weights)
            plain = max(plain, float((found - v).norm(dim=1).max()))

            def step(y: torch.Tensor, layer: Residual = layer, z: torch.Tensor = z, w: Any = weights) -> torch.Tensor:
                return z - layer.net(y, None, w)

            factor = layer.lipschitz / (1 - layer.lipschitz)
            found, certain = contracted(step, z, factor, torch.full((len(z),), 1e-12, dtype=z.dtype), count)
            fast, bound = max(fast, float((found - v).norm(dim=1).max())), max(bound, float(certain.max()))
        rows.append([str(count), f"{plain:.1e}", f"{fast:.1e}", f"{bound:.1e}"])
    flow.float()
    return rows


@torch.no_grad()
def estimates(flow: pf.Flow, x: torch.Tensor, draws: int = 50) -> list[list[str]]:
    """Mean log-likelihood by each way to the log-determinant, beside the exact one."""
    exact = float(flow.log_prob(x).mean())
    rows = [["whole Jacobian", f"{exact:.4f}", ""]]
    ways = [("series", n) for n in (1, 2, 5, 10, 20)] + [("roulette", n) for n in (1, 2, 10, 20)]
    for way, terms in ways:
        for layer in blocks(flow):
            layer.logdet, layer.scoring_terms = way, terms  # type: ignore[assignment]
        found = torch.stack([flow.log_prob(x).mean() for _ in range(draws)]).double()
        error = float(found.std()) / draws**0.5
        name = f"series of {terms}" if way == "series" else f"roulette after {terms}"
        rows.append([name, f"{float(found.mean()):.4f} ± {error:.4f}", f"{float(found.mean()) - exact:+.4f}"])
    for layer in blocks(flow):
        layer.logdet = "exact"
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    density = eight_gaussians()
    test = density.sample(10_000, seed=99)
    rows: list[list[str]] = []
    kept: Any = None
    ways: dict[str, dict[str, Any]] = {
        "residual flow, whole Jacobian": {},
        "residual flow, roulette": {"logdet": "roulette"},
        "i-ResNet, series of 5": {"logdet": "series", "terms": 5, "scoring_terms": 5},
    }
    for name, fields in ways.items():
        own, scores, seconds = [], [], []
        for seed in range(options.seeds):
            flow, took = trained(seed, options.steps, **fields)
            with torch.no_grad():
                own.append(-float(flow.log_prob(test).mean()))
                scores.append(-float(pf.exactly(flow).log_prob(test).mean()))
            seconds.append(took)
            kept = kept or flow
        rows.append([name, mean_and_spread(scores), mean_and_spread(own), f"{sum(seconds) / len(seconds):.0f} s"])
        print(rows[-1], flush=True)
    body = (
        " ".join((__doc__ or "").split("\n\n")[1].split())
        + f"\n\nEntropy {density.entropy:.4f}; {options.steps} steps of 512 rows, {options.seeds} seeds.\n\n"
        + table(["model", "NLL, whole Jacobian", "NLL by its own account", "training"], rows)
        + "\n\nThe inverse of the trained blocks, in float64, 1000 rows:\n\n"
        + table(
            ["iterations", "plain, largest error", "accelerated, as used", "its bound, certain"],
            iterations(kept, test[:1000]),
        )
        + "\n\nLog-likelihood of 2000 rows by other log-determinants:\n\n"
        + table(["way", "log-likelihood", "off by"], estimates(kept, test[:2000]))
    )
    write("residual", "Residual flows", body, started)


if __name__ == "__main__":
    main()
