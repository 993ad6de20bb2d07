"""Command line: `python -m pushforward.laws check [PATTERN]`."""

from __future__ import annotations

import argparse
import importlib
import sys

from ..systems.spec import Spec
from .layer_cases import all_cases
from .suite import LAWS, run

QUICK = {"compile", "export"}
"""Laws that `--quick` leaves out."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 1 if a law fails, 2 if no case matches."""
    parser = argparse.ArgumentParser(prog="python -m pushforward.laws")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="run the laws on the cases whose name matches")
    check.add_argument("pattern", nargs="?", default="", help="regular expression; all cases by default")
    check.add_argument(
        "--module", action="append", default=[], help="module to import first, such as my_package.my_system"
    )
    check.add_argument("--quick", action="store_true", help="stop at the first failure; leave out compile and export")
    options = parser.parse_args(arguments)
    for module in options.module:
        importlib.import_module(module)
    if options.module and not options.pattern:
        # The cases of the systems that these modules define.
        own = sorted(name for name, cls in Spec.registry.items() if cls.__module__ in options.module)
        options.pattern = f"^({'|'.join(own)})-[0-9]+$"
    cases = all_cases(options.pattern)
    if not cases:
        print(f"no case matches {options.pattern!r}", file=sys.stderr)
        return 2
    failures = 0
    for case in cases:
        outcomes = []
        for law in LAWS:
            if options.quick and law in QUICK:
                continue
            outcomes.append(run(case, law))
            if outcomes[-1].verdict == "FAIL":
                print(f"FAIL  {case.name}  {law}: {outcomes[-1].detail}")
                failures += 1
                if options.quick:
                    return 1
        held = sum(outcome.verdict == "pass" for outcome in outcomes)
        print(f"{case.name}: {held} laws hold, {sum(o.verdict == 'n/a' for o in outcomes)} do not apply")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
