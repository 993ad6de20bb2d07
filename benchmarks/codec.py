"""The entropy coder alone: symbols a second and its rate, beside constriction where that is installed.

A million discretised-logistic symbols, each with a mean and scale of its own. "Given" codes intervals that are at hand;
"with tables" computes them from means and scales, and searches when decoding. Rates are those of whole messages, states
included, over the entropy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pushforward.compression.frequencies import LogisticTable
from pushforward.compression.rans import Decoder, encode

Array = np.ndarray[Any, np.dtype[Any]]


def fastest(run: Callable[[], Any], repeat: int = 3) -> tuple[float, Any]:
    """Seconds of the fastest of some runs, and the result."""
    best, found = float("inf"), None
    for _ in range(repeat):
        begin = time.perf_counter()
        found = run()
        best = min(best, time.perf_counter() - begin)
    return best, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=1_000_000)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    n = options.symbols
    means, scales = random.normal(128, 40, n), random.uniform(2, 12, n)
    u = random.random(n)
    x = np.rint(means + scales * np.log(u / (1 - u)))
    one = np.ones((n, 1))
    table = LogisticTable(0 * one, means[:, None], np.log(scales)[:, None])
    below, above = (1 / (1 + np.exp(-(x + s - means) / scales)) for s in (-0.5, 0.5))
    entropy = float(-np.log2(above - below).sum())

    def given(starts: Array, freqs: Array) -> Callable[[int, Array], tuple[Array, Array]]:
        return lambda first, slots: (starts[first : first + len(slots)], freqs[first : first + len(slots)])

    def decode(find: Callable[[int, Array], tuple[Array, Array]]) -> None:
        decoder = Decoder(data)
        decoder.pop(n, find)
        decoder.finish()

    values = np.empty(n)

    def search(first: int, slots: Array) -> tuple[Array, Array]:
        start, freq, values[first : first + len(slots)] = table.find(first, slots)
        return start.astype(np.uint64), freq.astype(np.uint64)

    intervals = table.intervals(x)
    wide = [part.astype(np.uint64) for part in intervals]
    encode_given, data = fastest(lambda: encode([intervals]))
    encode_all, _ = fastest(lambda: encode([table.intervals(x)]))
    decode_given, _ = fastest(lambda: decode(given(*wide)))
    decode_all, _ = fastest(lambda: decode(search))
    if not np.array_equal(values, x):
        raise SystemExit("the symbols did not come back")
    rows = [
        ("this coder, given", encode_given, decode_given, 8 * len(data)),
        ("this coder, with tables", encode_all, decode_all, 8 * len(data)),
    ]
    try:
        import constriction
    except ImportError:
        print("constriction is not installed")
    else:
        family = constriction.stream.model.QuantizedLaplace(-200, 456)
        symbols = x.clip(-200, 456).astype(np.int32)

        def push() -> Any:
            coder = constriction.stream.stack.AnsCoder()
            coder.encode_reverse(symbols, family, means, scales * 1.5)
            return coder

        seconds, coder = fastest(push)
        compressed = coder.get_compressed()
        back, _ = fastest(lambda: constriction.stream.stack.AnsCoder(compressed).decode(family, means, scales * 1.5))
        rows.append(("constriction, compiled, Laplace with its tables (another distribution)", seconds, back, None))
    print(f"{n:,} symbols, {entropy / n:.4f} bits each")
    print("| coder | encode, relative | decode, relative | over the entropy |\n| --- | --- | --- | --- |")
    for name, there, back, bits in rows:
        over = "" if bits is None else f"{100 * (bits / entropy - 1):.2f} %"
        speed = f"{rows[0][1] / there:.2f} | {rows[0][1] / back:.2f}"
        print(f"| {name} | {speed} | {over} |")
    print(
        f"given: {n / encode_given / 1e6:.1f} million symbols a second to encode, {n / decode_given / 1e6:.1f} to decode; "
        f"with tables {n / encode_all / 1e6:.1f} and {n / decode_all / 1e6:.1f}"
    )


if __name__ == "__main__":
    main()
