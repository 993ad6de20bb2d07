"""Plants faults in a copy of the package and runs the laws on it."""

from __future__ import annotations

import concurrent.futures
import importlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pushforward

from .mutant import Mutant

PACKAGE = Path(pushforward.__file__).parent
HERE = Path(__file__).parent
LIMIT = 600
"""Seconds that the laws may take on one fault."""


def catalogue() -> dict[str, list[Mutant]]:
    """Return the faults of each source file, by its path below the package."""
    found = {}
    for path in sorted(HERE.glob("*/**/*.py")):
        relative = path.relative_to(HERE)
        module = importlib.import_module("." + ".".join(relative.with_suffix("").parts), __package__)
        found[relative.as_posix()] = list(module.MUTANTS)
    return found


def survives(file: str, mutant: Mutant) -> bool:
    """Return whether the laws pass with the fault in place.

    Args:
        file: Path of the source file below the package.
        mutant: The fault.

    Raises:
        EditError: The fault does not apply to the source.
        RuntimeError: The laws did not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "pushforward"
        # With the compiled files, which stay valid for all modules but the changed one.
        shutil.copytree(PACKAGE, copy)
        source = copy / file
        source.write_text(mutant.apply(source.read_text(encoding="utf-8")), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "pushforward.laws", "check", mutant.cases, "--quick"],
            env={**os.environ, "PYTHONPATH": folder, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=folder,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
    if done.returncode and b"FAIL" not in done.stdout:
        # The fault broke the package itself, or no case matched: the laws have said nothing about it.
        raise RuntimeError(f"{mutant.name!r}: expected that the laws run, got {done.stderr.decode()[-500:]}")
    return done.returncode == 0


def run_mutants(pattern: str = "", sample: int | None = None, seed: int = 0, workers: int = 2) -> list[Mutant]:
    """Plant faults and return those that survived.

    Args:
        pattern: Regular expression of names of faults or of paths of source files; empty for all.
        sample: How many of them, drawn at random; None for all.
        seed: Seed of the sample.
        workers: Number of processes that run at a time.
    """
    chosen = [
        (file, mutant)
        for file, mutants in catalogue().items()
        for mutant in mutants
        if re.search(pattern, mutant.name) or re.search(pattern, file)
    ]
    if sample is not None:
        chosen = random.Random(seed).sample(chosen, min(sample, len(chosen)))
    survivors = []
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for (file, mutant), alive in zip(chosen, pool.map(lambda pair: survives(*pair), chosen), strict=True):
            print(f"{'SURVIVED' if alive else 'caught  '}  {file}: {mutant.name}", flush=True)
            survivors += [mutant] * alive
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} planted faults caught")
    return survivors
