"""MNIST, 28 x 28 with 256 levels: Glow after equal steps here and in normflows, in bits per dimension.

Both have the same scales, steps, width, batches, noise, optimiser and preprocessing, logit(.05 + .9 x), and within a few percent the
same number of parameters (normflows factors out with an unconditional prior). Needs normflows: run it in the environment of
`make bench`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from common import data, table, write
from torch import Tensor, nn

import pushforward as pf
from pushforward.systems import Glow

PIXELS = 784


class Ours(nn.Module):
    """Glow of this library.

    Args:
        steps: of each scale.
        hidden: channels of its networks.
        first: levels that actnorm starts from.
    """

    def __init__(self, steps: int, hidden: int, first: Tensor) -> None:
        super().__init__()
        self.model = Glow(shape=(1, 28, 28), scales=2, steps=steps, hidden=hidden).build()
        pf.initialise(self.model, first)

    def forward(self, x: Tensor) -> Tensor:
        """Levels (B, 1, 28, 28) -> log-likelihood (B,) in nats."""
        return self.model(x)


class Theirs(nn.Module):
    """Glow of normflows, as its tutorial on images builds it.

    Args:
        steps: of each scale.
        hidden: channels of its networks.
        first: levels that actnorm starts from.
    """

    def __init__(self, steps: int, hidden: int, first: Tensor) -> None:
        super().__init__()
        import normflows as nf

        q0, merges, flows = [], [], []
        for i in range(2):
            channels = 1 * 2 ** (2 + 1 - i)
            blocks = [nf.flows.GlowBlock(channels, hidden, split_mode="channel", scale=True) for _ in range(steps)]
            flows.append([*blocks, nf.flows.Squeeze()])
            if i > 0:
                merges.append(nf.flows.Merge())
                shape = (1 * 2 ** (2 - i), 28 // 2 ** (2 - i), 28 // 2 ** (2 - i))
            else:
                shape = (1 * 2 ** (2 + 1), 28 // 2**2, 28 // 2**2)
            q0.append(nf.distributions.GlowBase(shape))
        self.model = nf.MultiscaleFlow(q0, flows, merges, class_cond=False)
        with torch.no_grad():
            self(first)

    def forward(self, x: Tensor) -> Tensor:
        """Levels (B, 1, 28, 28) -> log-likelihood (B,) in nats, dequantised and preprocessed here."""
        u = 0.05 + 0.9 * (x + torch.rand_like(x)) / 256
        volume = math.log(0.9) - u.log() - torch.log1p(-u)
        return self.model.log_prob(torch.logit(u), None) + volume.flatten(1).sum(1) - PIXELS * math.log(256)


def bits(model: nn.Module, x: Tensor) -> float:
    """Bits per dimension, at most: one draw of noise for each picture."""
    model.eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        total = sum(float(model(part).sum()) for part in x.split(256))
    model.train()
    return -total / (len(x) * PIXELS * math.log(2))


def learn(model: nn.Module, x: Tensor, valid: Tensor, steps: int, every: int) -> tuple[list[float], float]:
    """Validation bits after every so many steps of 64 pictures, and the seconds that the steps took."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(1)
    curve, seconds = [], 0.0
    for step in range(1, steps + 1):
        began = time.perf_counter()
        batch = x[torch.randint(len(x), (64,), generator=generator)]
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1.0, step / 50)
        optimiser.zero_grad()
        (-model(batch).mean() / PIXELS).backward()
        optimiser.step()
        seconds += time.perf_counter() - began
        if step % every == 0:
            curve.append(bits(model, valid))
            print(type(model).__name__, step, f"{curve[-1]:.4f}", f"{seconds:.0f} s", flush=True)
    return curve, seconds


def main() -> None:
    """Print the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--every", type=int, default=200)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    z = data("mnist.npz")
    x, valid, test = (
        torch.as_tensor(z[f"{part}_x"][:, None].astype(np.float32)) for part in ("train", "valid", "test")
    )
    makers: dict[str, Callable[[int, int, Tensor], nn.Module]] = {"pushforward": Ours, "normflows": Theirs}
    found = {}
    for name, make in makers.items():
        torch.manual_seed(0)
        model = make(options.blocks, options.hidden, x[:256])
        curve, seconds = learn(model, x, valid[:500], options.steps, options.every)
        found[name] = (sum(p.numel() for p in model.parameters()), curve, bits(model, test), seconds)
    slow = found["normflows"][3] / found["pushforward"][3]
    head = [
        "model",
        "parameters",
        *(f"{s * options.every}" for s in range(1, len(curve) + 1)),
        "test",
        "time of a step",
    ]
    rows = [
        [
            name,
            f"{count:,}",
            *(f"{v:.3f}" for v in curve),
            f"{final:.3f}",
            "1" if name == "pushforward" else f"{slow:.2f}",
        ]
        for name, (count, curve, final, _) in found.items()
    ]
    body = (
        f"Bits per dimension, at most: of 500 validation pictures after so many steps of 64 pictures, and of all test pictures "
        f"at the end. Glow with 2 scales of {options.blocks} steps, {options.hidden} channels, Adam at 1e-3, the same batches. "
        "Times are beside ours, in the same run.\n\n" + table(head, rows)
    )
    write("mnist", "MNIST: Glow", body, started)


if __name__ == "__main__":
    main()
