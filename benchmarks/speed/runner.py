"""Measures what was asked for, cell by cell, and hands each cell on as soon as it is there."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ..peers import NAMES, OWN, Absent, load
from ..peers.library import Model, Spline, randomise
from .cases import memory
from .cases.flows import FLOOR, FLOWS, Bench, Contenders
from .cases.peak import peak
from .cases.spline import DIRECTIONS, spline
from .cases.start import start
from .checks import check
from .floor import Floor
from .results import Cell, Entry
from .timing import Clock, Plan, ReferenceFailed, Say, in_turns, labelled, one_line
from .work import Work, works

CASES = ("density", "training", "sampling", "sampling-density", "spline", "peak", "constant-memory", "start")
"""As on the command line and in the stored results."""


@dataclass(frozen=True)
class Options:
    """What is measured.

    Args:
        cases: names from `CASES`.
        systems: names from `work.SYSTEMS`, or None for all.
        sizes: names from `work.SIZES`, or None for all.
        libraries: peers beside Pushforward, or None for all.
        plan: how much.
        device: where.
        compiled: whether Pushforward's compiled forms are measured too.
        compiled_peers: and those of the peers.
    """

    cases: Sequence[str] = CASES
    systems: Sequence[str] | None = None
    sizes: Sequence[str] | None = None
    libraries: Sequence[str] | None = None
    plan: Plan = dataclasses.field(default_factory=Plan)
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    compiled: bool = False
    compiled_peers: bool = False

    @property
    def names(self) -> list[str]:
        """The libraries, Pushforward first."""
        return [name for name in NAMES if name == OWN or self.libraries is None or name in self.libraries]

    @property
    def works(self) -> list[Work]:
        """What the flows are measured at."""
        return works(self.systems, self.sizes)

    def compiled_among(self, names: Sequence[str]) -> tuple[str, ...]:
        """Whose compiled forms are measured."""
        return tuple(n for n in names if (self.compiled if n == OWN else self.compiled_peers))


def measure(options: Options, say: Say) -> Iterator[tuple[str, Cell]]:
    """Case and cell, one after the other; a cell of the same case and key may come in parts.

    Args:
        options: what.
        say: told what is going on.
    """
    flows = [case for case in options.cases if case in FLOWS]
    for work in options.works:
        if flows:
            yield from _flows(work, flows, options, say)
        if "spline" in options.cases and work.system.spline:
            yield from _splines(work, options, say)
        if "peak" in options.cases:
            yield "peak", _peak(work, options, say)
    if "constant-memory" in options.cases:
        for cell in memory.constant_memory(options.systems, options.plan, options.device, say):
            yield "constant-memory", cell
    if "start" in options.cases:
        for cell in start(options.names, options.plan.rounds, torch.get_num_threads(), say):
            yield "start", cell


def build(name: str, work: Work, device: torch.device) -> Model:
    """One library's flow of some work, with weights of the common spread.

    Raises:
        Absent: the library has not got it.
    """
    torch.manual_seed(0)
    model = load(name).build(work)
    if work.system.structure == "image":
        _start_images(model, work)
    else:
        randomise(model)
    return model.to(device).eval()


def _start_images(model: Model, work: Work) -> None:
    """Let data-dependent layers see a batch, as they would at the start of training."""
    model.train()
    with torch.no_grad():
        model.log_prob(torch.randn(work.size.batch, *work.size.shape))


def _flows(work: Work, cases: Sequence[str], options: Options, say: Say) -> Iterator[tuple[str, Cell]]:
    torch.manual_seed(0)
    floor = Floor(work).to(options.device)
    models: dict[str, Model] = {}
    blank = Cell((work.system.name, work.size.name), FLOOR)
    for name in options.names:
        say(f"{work.name}: building {name}")
        try:
            model = build(name, work, options.device)
            blank.work[name] = dataclasses.asdict(check(model, floor, work))
            blank.notes[name] = list(model.notes)
            models[name] = model
        except Absent as reason:
            blank.left_out[name] = str(reason)
        except Exception as error:  # a peer may fail in any way; the others go on
            blank.left_out[name] = one_line(error)
    blank.reference = OWN if OWN in models else FLOOR
    for case in cases:
        torch.manual_seed(0)
        compiled = options.compiled_among(list(models))
        bench = Bench(work, models, floor, options.device, compiled)
        say(f"{work.name}, {case}: preparing")
        contenders = FLOWS[case](bench)
        cell = dataclasses.replace(blank, entries={}, left_out=dict(blank.left_out))
        _time(cell, contenders, options, labelled(say, f"{work.name}, {case}"))
        yield case, cell


def _splines(work: Work, options: Options, say: Say) -> Iterator[tuple[str, Cell]]:
    maps: dict[str, Spline] = {}
    left_out: dict[str, str] = {}
    for name in options.names:
        try:
            maps[name] = load(name).spline(work)
        except Absent as reason:
            left_out[name] = str(reason)
    for direction in DIRECTIONS:
        torch.manual_seed(0)
        cell = Cell((work.system.name, work.size.name, direction), OWN, left_out=dict(left_out))
        contenders = spline(work, maps, direction, options.device, options.compiled_among(list(maps)))
        _time(cell, contenders, options, labelled(say, f"spline of {work.name}, {direction}"))
        yield "spline", cell


def _time(cell: Cell, contenders: Contenders, options: Options, say: Say) -> None:
    try:
        found, failed = in_turns(contenders.calls, cell.reference, options.plan, Clock(options.device), say)
    except ReferenceFailed as failure:
        cell.left_out[cell.reference] = str(failure)
        return
    cell.left_out |= contenders.failed | failed
    for name, timed in found.items():
        extra = {}
        if options.device.type == "cuda":
            extra["milliseconds"] = 1000 * statistics.median(timed.seconds)
        if name in contenders.compiling:
            # In calls of the reference: seconds on a CPU are not kept.
            extra["compiling"] = contenders.compiling[name] / statistics.median(found[cell.reference].seconds)
        cell.entries[name] = Entry(timed.relative, "", extra)


def _peak(work: Work, options: Options, say: Say) -> Cell:
    cell = Cell((work.system.name, work.size.name), OWN)
    found: dict[str, dict[str, float]] = {}
    for name in options.names:
        say(f"{work.name}, peak memory: {name}")
        try:
            found[name] = peak(name, work, options.device, torch.get_num_threads())
        except Absent as reason:
            cell.left_out[name] = str(reason)
    cell.reference = OWN if OWN in found else next(iter(found), OWN)
    for name, sizes in found.items():
        cell.entries[name] = Entry([sizes["saved"] / found[cell.reference]["saved"]], "", sizes)
    return cell
