"""Command line: `python -m tests.mutants [PATTERN] [--sample N] [--seed S] [--workers W]`."""

from __future__ import annotations

import argparse
import sys

from .runner import run_mutants


def main(arguments: list[str] | None = None) -> int:
    """Plant faults; the exit code is 1 if one of them survives."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Plant faults; the laws must catch all."
    )
    parser.add_argument(
        "pattern", nargs="?", default="", help="names or source files, as a regular expression; all by default"
    )
    parser.add_argument("--sample", type=int, help="number of faults, drawn at random; all by default")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--workers", type=int, default=2, help="number of processes at a time")
    options = parser.parse_args(arguments)
    return 1 if run_mutants(options.pattern, options.sample, options.seed, options.workers) else 0


if __name__ == "__main__":
    sys.exit(main())
