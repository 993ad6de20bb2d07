"""What `fit` adds to a step: its loop beside one written by hand, `python -m benchmarks.loop`.

Both train the same model on the same rows with the same batches. A step of the loop written by hand is the least that trains
a flow as `fit` does by default:

    zero_grad(set_to_none=True), objective(batch), backward(), clip_grad_norm_, AdamW(fused=True).step(), _foreach_lerp_

on slices of a tensor that is permuted once an epoch; the last call is the moving average of the weights. `fit` does this,
sets the learning rate, looks at every loss and gradient for numbers that are not finite, remembers the random state, sums
the losses, counts, listens for Ctrl-C, and after the epoch copies the weights and writes its record. Epochs take turns,
A B A B; the ratio of each pair is one number, and their median is the result.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from torch import nn

import pushforward as pf
from pushforward.objectives import NegativeLogLikelihood
from pushforward.training import fit

SYSTEMS: dict[str, dict[str, Any]] = {
    "realnvp, 8 layers": {"name": "realnvp", "layers": 8, "hidden": (64, 64)},
    "nsf coupling, 4 layers": {"name": "nsf", "structure": "coupling", "layers": 4, "hidden": 64},
    "nsf autoregressive, 4 layers": {"name": "nsf", "layers": 4, "hidden": 64},
}
FEATURES, CLIP, EMA, LR = 8, 5.0, 0.995, 1e-3


class ByHand:
    """The loop written by hand.

    Args:
        model: to train.
        x: (N, D), a whole number of batches.
        batch: rows in a step.
        compiled: whether the objective is compiled.
    """

    def __init__(self, model: nn.Module, x: torch.Tensor, batch: int, *, compiled: bool) -> None:
        self.x, self.batch = x, batch
        self.objective: Any = NegativeLogLikelihood(model)
        if compiled:
            self.objective = torch.compile(self.objective, fullgraph=True, dynamic=False)
        self.parameters = list(model.parameters())
        self.average = [p.detach().clone() for p in self.parameters]
        self.weights = [p.detach() for p in self.parameters]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=LR, weight_decay=1e-6, fused=True)

    def epoch(self) -> None:
        """One pass over the rows."""
        x = self.x[torch.randperm(len(self.x))]
        for start in range(0, len(x), self.batch):
            self.optimiser.zero_grad(set_to_none=True)
            loss = self.objective((x[start : start + self.batch],))
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, CLIP)
            self.optimiser.step()
            torch._foreach_lerp_(self.average, self.weights, 1 - EMA)


def compare(
    fields: dict[str, Any], *, batch: int, steps: int, pairs: int, compiled: bool
) -> tuple[list[float], list[float]]:
    """Seconds a step, by hand and in `fit`, of epochs that take turns."""
    torch.manual_seed(0)
    x = torch.randn(batch * steps, FEATURES)
    twins = [pf.build(features=FEATURES, **fields).train() for _ in range(2)]
    by_hand = ByHand(twins[0], x, batch, compiled=compiled)
    by_hand.epoch()
    hand: list[float] = []
    own: list[float] = []
    ended = 0.0

    def after_an_epoch(record: dict[str, Any]) -> None:
        nonlocal ended
        now = time.perf_counter()
        by_hand.epoch()
        then = time.perf_counter()
        # The first epoch of each warms up.
        if record["epoch"] > 1:
            own.append((now - ended) / steps)
            hand.append((then - now) / steps)
        ended = time.perf_counter()

    fit(
        twins[1],
        x,
        validation=None,
        initialise=False,
        schedule="constant",
        epochs=pairs + 1,
        batch_size=batch,
        lr=LR,
        clip=CLIP,
        ema=EMA,
        compile=compiled,
        callbacks=[after_an_epoch],
        progress=False,
    )
    return hand, own


def main() -> None:
    """Print a line for each system."""
    parser = argparse.ArgumentParser(description="What fit adds to a step, beside a loop written by hand.")
    parser.add_argument("--batch", type=int, default=256, help="rows in a step")
    parser.add_argument("--steps", type=int, default=40, help="steps in an epoch")
    parser.add_argument("--pairs", type=int, default=25, help="epochs of each loop")
    parser.add_argument("--compile", action="store_true", help="compile the objective in both")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"D = {FEATURES}, batch {options.batch}, width 64, one thread, torch {torch.__version__}")
    for name, fields in SYSTEMS.items():
        hand, own = compare(
            fields, batch=options.batch, steps=options.steps, pairs=options.pairs, compiled=options.compile
        )
        ratios = sorted(b / a for a, b in zip(hand, own, strict=True))
        low, middle, high = (ratios[int(q * (len(ratios) - 1))] for q in (0.25, 0.5, 0.75))
        print(
            f"{name:30s} by hand {1e3 * statistics.median(hand):7.3f} ms, fit {1e3 * statistics.median(own):7.3f} ms, "
            f"ratio {middle:.3f} (quartiles {low:.3f} to {high:.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
