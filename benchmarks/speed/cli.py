"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ..peers import OWN, PEERS
from .machine import describe, setting
from .report import kept_part, page
from .results import Case, ResultsError, Store, dump, write
from .runner import CASES, Options, measure
from .terminal import lines_of
from .timing import Plan, Say
from .work import SIZES, SYSTEMS

HERE = Path(__file__).resolve().parent.parent
STORE = HERE / "results"
PAGE = HERE / "RESULTS.md"
COMMAND = "python -m benchmarks.speed"
ROUNDS, QUICK = 11, 3


def parser() -> argparse.ArgumentParser:
    """Every option."""
    made = argparse.ArgumentParser(
        prog=COMMAND,
        description="Time Pushforward beside its peers at the same work. Without --store or --all nothing is kept.",
    )
    made.add_argument("--all", action="store_true", help="everything, compiled forms too; kept as with --store")
    made.add_argument("--store", action="store_true", help="merge into the stored results and write the page anew")
    made.add_argument("--page", action="store_true", help="only write the page anew from the stored results")
    made.add_argument("--case", nargs="+", choices=CASES, help="some of the cases")
    made.add_argument("--system", nargs="+", choices=list(SYSTEMS), help="some of the systems")
    made.add_argument("--size", nargs="+", choices=list(SIZES), help="some of the sizes, by D")
    made.add_argument("--library", nargs="+", choices=[OWN, *PEERS], help="some of the peers; Pushforward is always in")
    made.add_argument("--compile", action="store_true", help="Pushforward's compiled forms too")
    made.add_argument("--compile-peers", action="store_true", help="the peers' compiled forms too")
    made.add_argument("--rounds", type=_positive, help=f"blocks of each contender, {ROUNDS} unless told")
    made.add_argument("--quick", action="store_true", help=f"{QUICK} rounds of short blocks, to see that it runs")
    made.add_argument("--threads", type=_positive, default=1, help="of torch, 1 unless told")
    made.add_argument("--device", default="cpu", help="cpu, or a GPU as torch calls it (cuda, cuda:1)")
    made.add_argument("--out", type=Path, default=PAGE, help="the page, benchmarks/RESULTS.md unless told")
    made.add_argument("--results", type=Path, default=STORE, help="the folder of stored results")
    made.add_argument("--json", type=Path, help="write what this run measured to a file")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit code is 1 if something cannot be read or written, 2 for wrong usage."""
    options = parser().parse_args(arguments)
    store = Store(options.results)
    try:
        if not options.page:
            measured = _measure(options, store)
            if options.json:
                write(options.json, dump([case.to_dict() for case in measured.values()]))
        if options.page or options.all or options.store:
            write(options.out, page(_stored(store), f"{COMMAND} --all", kept_part(options.out)))
    except ResultsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _measure(options: argparse.Namespace, store: Store) -> dict[str, Case]:
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ResultsError(f"expected a device that torch can use, got {options.device}; there is no GPU here")
    keep = options.all or options.store
    asked = Options(
        cases=options.case or CASES,
        systems=options.system,
        sizes=options.size,
        libraries=options.library,
        plan=_plan(options),
        device=device,
        compiled=options.compile or options.all,
        compiled_peers=options.compile_peers,
    )
    measured: dict[str, Case] = {}
    with _calm(options.threads, from_scratch=keep and asked.compiled):
        run, place = describe(device, asked.plan.rounds), setting(device)
        for name, cell in measure(asked, _say()):
            print("\n".join(lines_of(name, cell)), flush=True)
            measured.setdefault(name, Case(name)).add(copy.deepcopy(cell), run)
            if keep:
                case = store.case(place, name)
                case.add(cell, run)
                store.save(place, case)
    return measured


def _plan(options: argparse.Namespace) -> Plan:
    if not options.quick:
        return Plan(rounds=options.rounds or ROUNDS)
    usual = Plan()
    return Plan(rounds=options.rounds or QUICK, block=usual.block / 4, slow=usual.slow / 4)


@contextlib.contextmanager
def _calm(threads: int, *, from_scratch: bool) -> Iterator[None]:
    """Within, so many threads, no warnings, and what is there already is no garbage; compiled anew, if that is asked for."""
    before = torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_num_threads, before)
        torch.set_num_threads(threads)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.callback(gc.unfreeze)
        gc.freeze()
        if from_scratch:
            from torch._inductor import config

            stack.enter_context(config.patch(force_disable_caches=True))
        yield


def _stored(store: Store) -> dict[str, dict[str, Case]]:
    return {place: {name: store.case(place, name) for name in CASES} for place in store.settings()}


def _say() -> Say:
    began = time.monotonic()

    def say(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{time.monotonic() - began:6.0f} s  {text}", end="", file=sys.stderr, flush=True)

    return say


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 1, got {text}")
    return value
