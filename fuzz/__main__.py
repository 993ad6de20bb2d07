"""Try damaged and hostile inputs and print a table: how many got one sentence, how many were read well, and what else happened.

python -m fuzz --count 30000 --seed 0
python -m fuzz --only 4711 --seed 0       one input again, with its details
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

PATIENCE = 60
"""Seconds after which a worker that says nothing is killed: it hangs where no signal reaches it."""
SHOWN = 10
"""Failures of each kind that are printed."""


def main() -> int:
    """Run the fuzzers; the exit code is 1 where an input got neither a result nor one sentence."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=30_000, help="inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of one input to try again")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so much time")
    parser.add_argument("--log", type=Path, help="JSONL file for the outcome of every input")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        records = _run(options, Path(folder))
    _print(records, options.log)
    return int(any(record["outcome"] == "other" for record in records))


def _run(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    from .seeds import make

    make(folder / "seeds")
    first, stop = (0, options.count) if options.only is None else (options.only, options.only + 1)
    end = time.monotonic() + options.seconds
    records: list[dict[str, Any]] = []
    while first < stop and time.monotonic() < end:
        found, first = _one_worker(options.seed, first, stop, folder, end)
        records += found
    return records


def _one_worker(seed: int, first: int, stop: int, folder: Path, end: float) -> tuple[list[dict[str, Any]], int]:
    """Results of a worker until it ends, hangs or dies; and the number of the next input."""
    read, write = os.pipe()
    command = [
        sys.executable,
        "-m",
        "fuzz.worker",
        *map(str, (seed, first, stop, 1, folder / "seeds", folder / "work", write)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    records: list[dict[str, Any]] = []
    begun: dict[str, Any] | None = None
    with subprocess.Popen(command, pass_fds=[write], env=environment, stderr=subprocess.DEVNULL) as worker:
        os.close(write)
        with os.fdopen(read) as pipe:
            while True:
                if not select.select([pipe], [], [], PATIENCE)[0]:
                    worker.kill()
                line = pipe.readline()
                if not line:
                    break
                record = json.loads(line)
                begun = None if "outcome" in record else record
                if "outcome" in record:
                    records.append(record)
                    if time.monotonic() > end:
                        worker.kill()
                        break
        code = worker.wait()
    if begun is not None:
        lost = {**begun, "outcome": "other", "detail": f"the process ended with {code}", "seconds": 0.0, "peak": 0}
        records.append(lost)
    return records, records[-1]["number"] + 1 if records else first + 1


def _print(records: list[dict[str, Any]], log: Path | None) -> None:
    if log is not None:
        log.write_text("".join(json.dumps(record) + "\n" for record in records))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        counts[record["kind"]][record["outcome"]] += 1
    print(f"{'kind':12} {'tried':>8} {'one sentence':>13} {'read well':>10} {'other':>7}")
    for kind, found in (*counts.items(), ("all", sum(counts.values(), Counter()))):
        print(f"{kind:12} {sum(found.values()):8} {found['sentence']:13} {found['well']:10} {found['other']:7}")
    if records:
        slowest = max(records, key=lambda record: record["seconds"])
        peak = max(record["peak"] for record in records)
        print(f"slowest input {slowest['seconds']:.1f} s (number {slowest['number']}), peak memory {peak:,} MB")
    for record in [record for record in records if record["outcome"] == "other"][: SHOWN * len(counts)]:
        print(f"  {record['number']} {record['kind']}: {record['detail']}")


if __name__ == "__main__":
    sys.exit(main())
