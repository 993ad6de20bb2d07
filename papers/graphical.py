"""Graphical flows (Wehenkel, Louppe 2021, arXiv:2006.02548): a graph that is given, learned, or complete.

The synthetic rows come from eight variables with a known graph and known conditionals, so the entropy is known up to the noise
of the test rows. Then red wine, beside a complete graph of the same size.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from common import data, keep, known, mean_and_spread, table, write
from torch import Tensor

import pushforward as pf
from pushforward.objectives import learned_graph
from pushforward.systems import Graphical

PARENTS = ((), (), (0,), (0, 1), (2,), (3,), (4, 5), (6, 3))
EDGES = tuple(f"{j}>{i}" for i, row in enumerate(PARENTS) for j in row)


def arithmetic(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows (n, 8) of sums, products and sines of earlier columns, in a shuffled order of columns, and their log-density (n,)."""
    torch.manual_seed(seed)
    noise = torch.randn(n, 8, dtype=torch.float64)
    columns = [noise[:, 0], noise[:, 1]]
    means = (
        lambda c: torch.sin(2 * c[0]),
        lambda c: c[0] * c[1],
        lambda c: c[2].square(),
        lambda c: torch.tanh(2 * c[3]),
        lambda c: c[4] - c[5],
        lambda c: c[6] * c[3],
    )
    scale = 0.3
    for i, mean in enumerate(means, 2):
        columns.append(mean(columns) + scale * noise[:, i])
    x = torch.stack(columns, 1)
    log_density = -(noise.square() + math.log(2 * math.pi)).sum(1) / 2 - 6 * math.log(scale)
    return x, log_density


def trained(spec: Graphical, rows: Tensor, seed: int) -> pf.Distribution:
    """Fit with a tenth of the rows for validation."""
    torch.manual_seed(seed)
    flow = spec.build()
    pf.fit(flow, rows, epochs=150, lr=3e-3, batch_size=250, validation=0.1, patience=30, seed=seed, progress=False)
    return flow


def synthetic(seed: int) -> None:
    """The gap to the truth for the three graphs, and the edges that the learned one has right."""
    (x, _), (test, truth) = arithmetic(2000, seed), arithmetic(20_000, seed + 100)
    # The order of the columns is turned round, so that no graph has it for free.
    x, test = x.flip(1), test.flip(1)
    mean, scale = x.mean(0), x.std(0)
    rows, held = ((x - mean) / scale).float(), ((test - mean) / scale).float()
    entropy = float((truth + scale.log().sum()).mean())
    turned = tuple(f"{7 - int(a)}>{7 - int(b)}" for a, b in (edge.split(">") for edge in EDGES))
    for name, fields in {
        "given": {"graph": "given", "edges": turned},
        "learned": {"sparsity": 0.02},
        "complete": {"graph": "passes", "passes": 8},
    }.items():
        began = time.time()
        flow = trained(Graphical(features=8, **fields), rows, seed)
        with torch.no_grad():
            gap = entropy - float(flow.log_prob(held).mean())
        found: dict[str, float] = {"gap": gap, "minutes": (time.time() - began) / 60}
        if name == "learned":
            edges = {frozenset((i, j)) for i, row in enumerate(learned_graph(flow).parents) for j in row}
            true = {frozenset(map(int, edge.split(">"))) for edge in turned}
            found |= {"right": len(edges & true), "wrong": len(edges - true)}
        keep("graphical", name, str(seed), value=found)


def wine(seed: int) -> None:
    """Red wine, standardised: held-out nats with a learned and a complete graph."""
    x = torch.as_tensor(np.asarray(data("uci_rnade.npz")["redwine"]), dtype=torch.float32)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x = x[order]
    split = len(x) * 9 // 10
    mean, scale = x[:split].mean(0), x[:split].std(0)
    # A little noise on training rows, because the values are rounded.
    rows = (x[:split] - mean) / scale + 0.02 * torch.randn(split, x.shape[1])
    held = (x[split:] - mean) / scale
    for name, fields in {
        "learned, red wine": {"sparsity": 0.02},
        "complete, red wine": {"graph": "passes", "passes": 11},
    }.items():
        began = time.time()
        flow = trained(Graphical(features=11, **fields), rows, seed)
        with torch.no_grad():
            nats = float(flow.log_prob(held).mean())
        keep("graphical", name, str(seed), value={"nats": nats, "minutes": (time.time() - began) / 60})


def main() -> None:
    """Run, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=["synthetic", "wine"])
    options = parser.parse_args()
    started = time.time()
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        if options.only != "wine":
            synthetic(seed)
        if options.only != "synthetic":
            wine(seed)
    kept = known("graphical")
    rows = []
    for name in ("given", "learned", "complete"):
        runs = list(kept.get(name, {}).values())
        if runs:
            edges = " / ".join(f"{run['right']:.0f} + {run['wrong']:.0f}" for run in runs) if name == "learned" else "-"
            rows.append([name, mean_and_spread([run["gap"] for run in runs]), edges, str(len(runs))])
    first = table(
        [f"graph, 8 columns, {len(EDGES)} edges", "gap to the truth, nats", "right + wrong edges", "seeds"], rows
    )
    rows = []
    for name in ("learned, red wine", "complete, red wine"):
        runs = list(kept.get(name, {}).values())
        if runs:
            rows.append([name, mean_and_spread([run["nats"] for run in runs]), str(len(runs))])
    second = table(["graph", "held-out nats", "seeds"], rows)
    write("graphical", "Graphs between columns", f"{first}\n\n{second}", started)


if __name__ == "__main__":
    main()
