"""Drawing from TarFlow: kept keys and values, blocks of tokens by Jacobi iteration, and one pass for each token.

A TarFlow of digits with single pixels as tokens, 64 of them, trained for a short time. Times are in density passes of the same batch,
measured in turns in the same run (Zhai et al. 2024, arXiv:2412.06329, section 3.5, keep keys and values; Song et al. 2021,
arXiv:2002.03629, solve such systems by Jacobi iteration).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from common import table, write
from pictures import LEVELS, digits, levels_of, train
from torch import Tensor

from pushforward.functional.fixed_point import jacobi
from pushforward.systems import TarFlow
from pushforward.transforms import Autoregressive


def without_cache(layer: Autoregressive, z: Tensor) -> Tensor:
    """The inverse by one pass over all tokens for each token: Jacobi iteration without a stop."""

    def sweep(x: Tensor) -> Tensor:
        return layer.scalar.inverse(z, layer._parameters_of(layer.net(x, None)))[0]

    return jacobi(sweep, torch.zeros_like(z), z.shape[1], -1.0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    parts = digits()
    spec = TarFlow(shape=(1, 8, 8), levels=LEVELS, patch=1, layers=2, hidden=64, preprocess="logit-one-sided")
    model = train(spec, parts, 0, epochs=options.epochs)
    layer = next(m for m in model.modules() if isinstance(m, Autoregressive))
    x = levels_of(parts[2])[: options.batch]
    with torch.no_grad():
        for before in list(model.chain.layers)[:4]:
            x = before(x)[0]
        z = layer(x)[0]

    def blocks(size: int) -> Callable[[], Tensor]:
        def run() -> Tensor:
            layer.block = size
            return layer.inverse(z)[0]

        return run

    ways: dict[str, Callable[[], Tensor]] = {
        "density, one pass": lambda: layer(x)[0],
        "token by token, keys and values kept": blocks(1),
        "blocks of 4, Jacobi iteration in each": blocks(4),
        "blocks of 16": blocks(16),
        "all 64 together": blocks(64),
        "a pass for each token": lambda: without_cache(layer, z),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    errors = {}
    with torch.no_grad():
        for _ in range(5):
            for name, run in ways.items():
                began = time.perf_counter()
                result = run()
                times[name].append(time.perf_counter() - began)
                errors[name] = float((result - (z if name.startswith("density") else x)).abs().max())
    unit = min(times["density, one pass"])
    rows = [
        [name, f"{min(taken) / unit:.2f}", "" if name.startswith("density") else f"{errors[name]:.1g}"]
        for name, taken in times.items()
    ]
    body = (
        f"One layer, {options.batch} digits, 64 tokens of one pixel, float32; time in density passes, the fastest of 5 in turns, and the "
        "largest difference to the digits that the latent codes came from.\n\n" + table(["way", "time", "error"], rows)
    )
    write("tokens", "Drawing from TarFlow", body, started)


if __name__ == "__main__":
    main()
