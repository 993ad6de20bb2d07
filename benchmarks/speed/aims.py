"""What was to be reached, and whether it was."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..peers import OWN, PEERS
from .cases.flows import COMPILED, DENSITY, FLOOR, FLOWS
from .results import Case, Cell

Cases = Mapping[str, Case]
SPLINES = ("nsf-coupling", "nsf-ar")
SLOW_DRAWS = ("maf", "nsf-ar")
"""Systems that a peer draws from in as many passes as there are coordinates."""


@dataclass(frozen=True)
class Aim:
    """One number to reach.

    Args:
        text: what, with the number.
        limit: the number.
        values: every value that has to reach it, with where it is from.
        at_least: whether more is better.
    """

    text: str
    limit: float
    values: list[tuple[float, str]]
    at_least: bool = field(kw_only=True)

    @property
    def worst(self) -> tuple[float, str] | None:
        """The value that is farthest from it; None where nothing was measured."""
        if not self.values:
            return None
        return (min if self.at_least else max)(self.values, key=operator.itemgetter(0))

    @property
    def missing(self) -> list[tuple[float, str]]:
        """Those that do not, the farthest first."""
        found = [(v, where) for v, where in self.values if not (v >= self.limit if self.at_least else v <= self.limit)]
        return sorted(found, reverse=not self.at_least)

    @property
    def reached(self) -> int:
        """How many values reach it."""
        return len(self.values) - len(self.missing)

    @property
    def verdict(self) -> str:
        """Reached, missed or not measured."""
        if not self.values:
            return "not measured"
        return "**missed**" if self.missing else "reached"


def best_peer(cell: Cell, own: str = OWN, suffix: str = "") -> tuple[float, str] | None:
    """The smallest of the peers' times over Pushforward's (or over another contender's), and whose it is."""
    found = [(r.median, peer) for peer in PEERS if (r := cell.ratio(peer + suffix, own)) is not None]
    return min(found) if found else None


def aims(cases: Cases) -> list[Aim]:
    """Every aim, with what was measured for it.

    Args:
        cases: by name; those that are missing are empty.
    """
    return [
        _peers(cases, "spline flows, training step: the best peer takes >= 1.5 times as long", 1.5, SPLINES),
        _peers(
            cases, "the same, compiled, beside the best peer as it is: >= 2.5 times", 2.5, SPLINES, own=OWN + COMPILED
        ),
        _floor(cases, "spline flows, training step at (43, 512, 256): <= 2 times the floor", 2.0, SPLINES, "43"),
        _floor(cases, "the same, compiled: <= 1.5 times the floor", 1.5, SPLINES, "43", own=OWN + COMPILED),
        _floor(cases, "RealNVP, training step at (43, 512, 256): <= 1.10 times the floor", 1.10, ("realnvp",), "43"),
        _floor(cases, "MAF, training step at (43, 512, 256): <= 1.15 times the floor", 1.15, ("maf",), "43"),
        _floor(
            cases,
            "RealNVP and MAF, training step at (8, 256, 64): <= 1.25 times the floor",
            1.25,
            ("realnvp", "maf"),
            "8",
        ),
        _never_slower(cases),
        _spline_alone(cases),
        _peers(
            cases,
            "autoregressive sampling at D = 64: the best peer takes >= 20 times as long",
            20.0,
            SLOW_DRAWS,
            case="sampling",
            sizes=("64",),
        ),
        _draws(cases, "autoregressive sampling at batch 4096: <= 2.5 densities", 2.5, "64"),
        _draws(cases, "autoregressive sampling at D = 256: <= 4 densities", 4.0, "256"),
        _constant_memory(cases, "constant-memory training, 64 layers against 8: peak of activations <= 1.3 times", 1.3),
        _constant_memory(cases, "the same, 64 layers: time <= 1.6 times that of ordinary training", 1.6, time=True),
        _import(cases),
    ]


def gpu_aims(cases: Cases) -> list[Aim]:
    """The same on a GPU, where less was aimed at."""
    cells = _cells(cases, "training", lambda c: c.key[0] in SPLINES)
    zuko = [(r.median, _place(cell)) for cell in cells if (r := cell.ratio("zuko", OWN)) is not None]
    return [
        Aim("spline flows, training step: zuko takes >= 3 times as long", 3.0, zuko, at_least=True),
        _never_slower(cases),
    ]


def _cells(cases: Cases, case: str, keep: Callable[[Cell], bool]) -> Iterable[Cell]:
    return [cell for cell in cases[case].cells.values() if keep(cell)] if case in cases else []


def _place(cell: Cell, who: str = "") -> str:
    return ", ".join([*cell.key, *([who] if who else [])])


def _peers(
    cases: Cases,
    text: str,
    limit: float,
    systems: tuple[str, ...],
    *,
    case: str = "training",
    sizes: tuple[str, ...] | None = None,
    own: str = OWN,
) -> Aim:
    cells = _cells(cases, case, lambda c: c.key[0] in systems and (sizes is None or c.key[1] in sizes))
    found = [(best, cell) for cell in cells if (best := best_peer(cell, own)) is not None]
    return Aim(text, limit, [(best[0], _place(cell, best[1])) for best, cell in found], at_least=True)


def _floor(cases: Cases, text: str, limit: float, systems: tuple[str, ...], size: str, own: str = OWN) -> Aim:
    cells = _cells(cases, "training", lambda c: c.key[0] in systems and c.key[1] == size)
    found = [(r.median, _place(cell)) for cell in cells if (r := cell.ratio(own, FLOOR)) is not None]
    return Aim(text, limit, found, at_least=False)


NEVER_SLOWER = "never slower than any peer, in any case of whole flows or of the spline alone"


def _never_slower(cases: Cases) -> Aim:
    values = []
    for case in (*FLOWS, "spline"):
        for cell in _cells(cases, case, lambda _: True):
            best = best_peer(cell)
            if best is not None:
                values.append((best[0], f"{case}: {_place(cell, best[1])}"))
    return Aim(NEVER_SLOWER, 1.0, values, at_least=True)


def _spline_alone(cases: Cases) -> Aim:
    cells = _cells(cases, "spline", lambda c: c.key[2] == "forward and backward")
    found = [(best, cell) for cell in cells if (best := best_peer(cell)) is not None]
    values = [(best[0], _place(cell, best[1])) for best, cell in found]
    text = "spline alone, forward and backward: the best peer takes >= 3 times as long"
    return Aim(text, 3.0, values, at_least=True)


def _draws(cases: Cases, text: str, limit: float, size: str) -> Aim:
    cells = _cells(cases, "sampling", lambda c: c.key[0] in SLOW_DRAWS and c.key[1] == size)
    found = [(r.median, _place(cell)) for cell in cells if (r := cell.ratio(OWN, OWN + DENSITY)) is not None]
    return Aim(text, limit, found, at_least=False)


def _constant_memory(cases: Cases, text: str, limit: float, *, time: bool = False) -> Aim:
    values = []
    for cell in _cells(cases, "constant-memory", lambda c: "invert" in c.entries):
        found = cell.ratio("invert", "store")
        if time and found is not None:
            values.append((found.median, _place(cell)))
        if not time:
            values.append((cell.entries["invert"].extra["growth"], _place(cell)))
    return Aim(text, limit, values, at_least=False)


def _import(cases: Cases) -> Aim:
    cells = _cells(cases, "start", lambda c: c.key == ("import",) and OWN in c.entries)
    values = [(cell.entries[OWN].extra["seconds"], "") for cell in cells]
    return Aim("`import pushforward`: <= 0.3 s above `import torch`", 0.3, values, at_least=False)
