"""The wait before anything happens: the import, and the first density of a small flow, each in a fresh process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

from ...peers import OWN, Absent, load
from ..results import Cell, Entry
from ..timing import Say

IMPORT = """
import json, time
import torch
before = time.perf_counter()
import {package}
print(json.dumps(time.perf_counter() - before))
"""
FIRST = """
import json, time
import torch
program = compile({program!r}, "first", "exec")
before = time.perf_counter()
exec(program)
print(json.dumps(time.perf_counter() - before))
"""
ROUNDS = 7
"""At most: each round starts two processes for each library."""


def start(names: Sequence[str], rounds: int, threads: int, say: Say) -> list[Cell]:
    """Two cells, "import" and "first density"; seconds above `import torch` are in each entry's extra.

    Args:
        names: of the libraries.
        rounds: how often; never more than `ROUNDS`.
        threads: that torch may use.
        say: told what is going on.
    """
    cells = []
    for what, program in (("import", IMPORT), ("first density", FIRST)):
        cell = Cell((what,), OWN)
        programs = {}
        for name in names:
            try:
                library = load(name)
                programs[name] = program.format(package=library.package, program=library.first)
            except Absent as reason:
                cell.left_out[name] = str(reason)
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for i in range(min(rounds, ROUNDS) + 1):
            say(f"{what}, round {i} of {min(rounds, ROUNDS)}")
            order = list(programs)
            shift = i % max(len(order), 1)
            for name in order[shift:] + order[:shift]:
                try:
                    taken = _run(programs[name], threads)
                except Absent as reason:
                    cell.left_out[name] = str(reason)
                    del programs[name]
                    continue
                if i > 0:  # the first round fills the disk's cache
                    seconds[name].append(taken)
        for name in programs:
            relative = [a / b for a, b in zip(seconds[name], seconds[OWN], strict=True)]
            cell.entries[name] = Entry(relative, "", {"seconds": statistics.median(seconds[name])})
        cells.append(cell)
    return cells


def _run(program: str, threads: int) -> float:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Absent(f"its process failed: {lines[-1] if lines else done.returncode}")
    return float(json.loads(done.stdout.splitlines()[-1]))
