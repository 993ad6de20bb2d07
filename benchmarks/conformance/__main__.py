"""Command line: `python -m benchmarks.conformance [--out FILE] [--only LIBRARY ...]`."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from ..peers import CHECKED, Absent, load, version
from ..speed.report import kept_part
from ..speed.results import ResultsError, write
from ..speed.timing import one_line
from .report import Table, markdown
from .result import CHECKS, run

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 600.0
PACKAGE = "benchmarks.conformance"


def main(arguments: list[str] | None = None) -> int:
    """Run the command. The exit code is 1 if the page cannot be written, 2 for wrong usage; a ✗ is a finding, not an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance", description=__doc__)
    parser.add_argument("--out", default="-", help="the Markdown page; - is stdout")
    parser.add_argument("--json", help="the results as JSON")
    parser.add_argument("--only", nargs="+", choices=CHECKED, default=list(CHECKED), metavar="LIBRARY")
    parser.add_argument("--check", nargs="+", choices=list(CHECKS), default=list(CHECKS), metavar="CHECK")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one check")
    parser.add_argument("--here", action="store_true", help="in this process, not in one for each library")
    options = parser.parse_args(arguments)
    table = Table({}, {}, {})
    try:
        for name in options.only:
            table.update(measure(name, options.check, options.limit) if options.here else _apart(name, options))
        if options.json:
            write(Path(options.json), json.dumps(table.to_dict(), indent=1))
        command = "python -m benchmarks.conformance"
        if not options.here and options.out == "-":
            print(markdown(table, command))
        elif not options.here:
            page = Path(options.out)
            write(page, markdown(table, f"{command} --out {page}") + kept_part(page))
    except ResultsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def measure(name: str, checks: list[str], limit: float | None) -> Table:
    """Run checks on every flow of one library, in this process.

    Args:
        name: Name from `peers.CHECKED`.
        checks: Names of checks.
        limit: Seconds that one check may take.
    """
    torch.set_num_threads(1)
    try:
        library = load(name)
        importlib.import_module(library.package)
    except Absent as reason:
        return Table({}, {}, {name: str(reason)})
    except Exception as error:  # an import may fail in any way
        return Table({}, {}, {name: one_line(error)})
    table = Table({}, {library.package: version(name)}, {})
    for case in library.cases:
        print(case.name, file=sys.stderr, flush=True)
        table.results[case.library, case.flow] = {check: run(case, check, limit=limit) for check in checks}
    return table


def _apart(name: str, options: argparse.Namespace) -> Table:
    """Do the same in a fresh process, so that no library sees what another has done to torch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.json")
        command = [sys.executable, "-m", PACKAGE, "--here", "--json", str(path), "--limit", str(options.limit)]
        done = subprocess.run([*command, "--only", name, "--check", *options.check], cwd=ROOT, check=False)
        if not path.exists():
            return Table({}, {}, {name: f"its process ended with code {done.returncode}"})
        return Table.from_dict(json.loads(path.read_text()))


if __name__ == "__main__":
    sys.exit(main())
