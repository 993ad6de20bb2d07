"""What a lossless codec needs: which changes of machine change what a network computes, and how many blocks still decode.

Blocks are coded here, and decoded in other processes in which the numeric libraries are told to use older instructions of the
processor, as another machine would: those of torch (ATEN_CPU_CAPABILITY), of its matrix products (MKL), of numpy. In float64,
and in float32 to compare. Also with other numbers of rows in a batch and of threads, in which no two runs of the codec differ.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from pushforward.compression import EventCoder
from pushforward.core import Flow
from pushforward.errors import FileError
from pushforward.systems import IDF

NUMPY = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
VARIANTS = {
    "the same, another process": {},
    "torch without AVX512": {"ATEN_CPU_CAPABILITY": "avx2"},
    "torch without AVX": {"ATEN_CPU_CAPABILITY": "default"},
    "matrix products without AVX512": {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "numpy without AVX512": {"NPY_DISABLE_CPU_FEATURES": NUMPY},
    "all of these": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "NPY_DISABLE_CPU_FEATURES": NUMPY,
    },
}


def made() -> Flow:
    """A model with random weights."""
    torch.manual_seed(0)
    model = IDF(shape=(1, 8, 8), scales=2, steps=4, hidden=48, depth=2).build()
    for p in model.parameters():
        p.data.add_(0.05 * torch.randn(p.shape))
    model.base.free.data[5:10] += 4.0
    return model


def blocks(count: int, rows: int) -> list[np.ndarray]:
    """Pictures that look like patches: random walks."""
    random = np.random.default_rng(0)
    walks = random.normal(0, 6, (count, rows, 1, 8, 8)).cumsum(3).cumsum(4) / 3 + 128
    return list(walks.round().clip(0, 255))


def decoded(path: str, dtype: torch.dtype, rows: int) -> None:
    """In another process: decode what lies in a file, and print what came of it."""
    weights, fingerprint, coded, truth = pickle.loads(Path(path).read_bytes())
    model = made()
    model.load_state_dict(weights)
    found = EventCoder(model, rows, dtype=dtype)
    right = 0
    for data, x in zip(coded, truth, strict=True):
        try:
            right += np.array_equal(found.decode(data, len(x)).numpy(), x)
        except FileError:
            continue
    print(int(found.fingerprint == fingerprint), right)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--decode", help="used for the other processes")
    parser.add_argument("--dtype", default="float64")
    options = parser.parse_args()
    if options.decode:
        decoded(options.decode, getattr(torch, options.dtype), options.rows)
        return
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    truth = blocks(options.blocks, options.rows)
    print("| arithmetic | change | same fingerprint | blocks decoded |\n| --- | --- | --- | --- |")
    for name in ("float64", "float32"):
        model = made()
        here = EventCoder(model, options.rows, dtype=getattr(torch, name))
        coded = [here.encode(torch.from_numpy(x)) for x in truth]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "blocks"
            path.write_bytes(pickle.dumps((model.state_dict(), here.fingerprint, coded, truth)))
            for change, environment in VARIANTS.items():
                command = [
                    sys.executable,
                    __file__,
                    "--decode",
                    str(path),
                    "--dtype",
                    name,
                    "--rows",
                    str(options.rows),
                ]
                out = subprocess.run(
                    command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
                )
                same, right = out.stdout.split()
                print(f"| {name} | {change} | {'yes' if same == '1' else 'no'} | {right} of {len(coded)} |", flush=True)
        with torch.no_grad():
            x = torch.from_numpy(np.concatenate(truth[:4])).to(getattr(torch, name))
            together = here.model.log_prob(x)
            apart = torch.cat([here.model.log_prob(x[i : i + 1]) for i in range(len(x))])
            torch.set_num_threads(2)
            threads = here.model.log_prob(x)
            torch.set_num_threads(1)
        difference = [float((v - together).abs().max()) for v in (apart, threads)]
        print(
            f"| {name} | log-probabilities of single rows, not batches: largest difference | | {difference[0]:.1e} nats |"
        )
        print(f"| {name} | with 2 threads: largest difference | | {difference[1]:.1e} nats |", flush=True)


if __name__ == "__main__":
    main()
