"""What was measured: cells of entries, kept as JSON, so that a part can be measured anew without the rest.

On a CPU only ratios are kept, never seconds: each entry holds, for each round, its time over the reference's in that round.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..peers import NOT_INSTALLED

DIGITS = 5


class ResultsError(Exception):
    """A file of results, or the page, cannot be read or written; the message says which and why."""


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of the rounds' ratios.

    Args:
        median: of them.
        low: first quartile.
        high: third quartile.
        rounds: how many.
    """

    median: float
    low: float
    high: float
    rounds: int


@dataclass
class Entry:
    """One contender in one cell.

    Args:
        relative: its measure over the reference's, round by round.
        run: which run measured it.
        extra: numbers of its own, by name (milliseconds on a GPU, mebibytes, seconds of an import ...).
    """

    relative: list[float]
    run: str
    extra: dict[str, float] = field(default_factory=dict)


@dataclass
class Cell:
    """One row of a case.

    Args:
        key: system, size, and what else tells the rows of a case apart.
        reference: whose measure is 1.
        entries: contender -> what was measured.
        left_out: contender -> why not.
        work: library -> its parameters, and its matrix products in passes of the networks.
        notes: library -> how it was built.
    """

    key: tuple[str, ...]
    reference: str
    entries: dict[str, Entry] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    work: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def ratio(self, name: str, other: str) -> Ratio | None:
        """The measure of one contender over that of another; None where one of them is missing."""
        if name not in self.entries or other not in self.entries:
            return None
        return ratio(self.entries[name].relative, self.entries[other].relative)

    def update(self, other: Cell) -> None:
        """Take what another measurement of the same row has found; what it did not look at stays."""
        if other.reference != self.reference:
            self.entries, self.left_out, self.reference = {}, {}, other.reference
        for name, entry in other.entries.items():
            self.entries[name] = entry
            self.left_out.pop(name, None)
        for name, reason in other.left_out.items():
            if reason == NOT_INSTALLED and name in self.entries:
                continue
            self.left_out[name] = reason
            for gone in [n for n in self.entries if n == name or n.startswith(f"{name}:")]:
                del self.entries[gone]
        self.work.update(other.work)
        self.notes.update(other.notes)


def ratio(over: list[float], under: list[float]) -> Ratio | None:
    """Round by round where both took part in the same rounds; else each round of the one with fewer over the other's median."""
    if not over or not under:
        return None
    if len(over) < len(under):
        under = [statistics.median(under)] * len(over)
    if len(under) < len(over):
        over = [statistics.median(over)] * len(under)
    ratios = sorted(a / b for a, b in zip(over, under, strict=True))
    if len(ratios) < 4:
        middle = statistics.median(ratios)
        return Ratio(middle, ratios[0], ratios[-1], len(ratios))
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high, len(ratios))


@dataclass
class Case:
    """All cells of one case in one setting, and the runs that they come from.

    Args:
        name: of the case.
        cells: by key.
        runs: what is known of each run (date, machine, threads, versions, rounds).
    """

    name: str
    cells: dict[tuple[str, ...], Cell] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, cell: Cell, run: dict[str, Any]) -> None:
        """Merge a cell that some run has measured; its entries get the run's name."""
        name = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:8]
        for entry in cell.entries.values():
            entry.run = name
        self.runs[name] = run
        if cell.key in self.cells:
            self.cells[cell.key].update(cell)
        else:
            self.cells[cell.key] = cell
        used = {entry.run for kept in self.cells.values() for entry in kept.entries.values()}
        self.runs = {name: run for name, run in self.runs.items() if name in used}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, numbers shortened."""
        cells = [asdict(cell) for cell in self.cells.values()]
        for cell in cells:
            for entry in cell["entries"].values():
                entry["relative"] = [_short(value) for value in entry["relative"]]
                entry["extra"] = {name: _short(value) for name, value in entry["extra"].items()}
        return {"case": self.name, "runs": self.runs, "cells": cells}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Case:
        """The case that `to_dict` described."""
        case = cls(values["case"], runs=dict(values["runs"]))
        for cell in values["cells"]:
            entries = {name: Entry(**entry) for name, entry in cell.pop("entries").items()}
            key = tuple(cell.pop("key"))
            case.cells[key] = Cell(key=key, entries=entries, **cell)
        return case


class Store:
    """The folder of results: one folder for each setting (device and threads), one file for each case.

    Args:
        folder: which.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def settings(self) -> list[str]:
        """Those that have results."""
        return sorted(path.name for path in self.folder.glob("*") if path.is_dir())

    def case(self, setting: str, name: str) -> Case:
        """One case, empty where nothing is stored.

        Raises:
            ResultsError: the file cannot be read.
        """
        path = self.folder / setting / f"{name}.json"
        if not path.exists():
            return Case(name)
        try:
            return Case.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"expected stored results in {path}, got {error!r}; remove the file") from error

    def save(self, setting: str, case: Case) -> None:
        """Write one case.

        Raises:
            ResultsError: the folder cannot be written.
        """
        write(self.folder / setting / f"{case.name}.json", dump(case.to_dict()))


def dump(values: Any) -> str:
    """JSON that is easy to compare by line: indented, but a list of numbers stays on its line."""
    return "\n".join(_lines(values, 0)) + "\n"


def write(path: Path, text: str) -> None:
    """Replace a file as a whole.

    Raises:
        ResultsError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise ResultsError(
            f"expected a path that can be written, got {path} ({error.strerror}); choose another"
        ) from error


def _lines(value: Any, depth: int) -> Iterator[str]:
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(flat) + depth <= 118:
        yield flat
        return
    inner = " " * (depth + 1)
    if isinstance(value, dict):
        opening, closing = "{", "}"
        items = [(f"{json.dumps(key)}: ", item) for key, item in value.items()]
    else:
        opening, closing = "[", "]"
        items = [("", item) for item in value]
        if all(isinstance(item, (int, float, str)) for item in value):
            yield flat
            return
    yield opening
    for i, (label, item) in enumerate(items):
        lines = list(_lines(item, depth + 1))
        lines[0] = inner + label + lines[0]
        lines[-1] += "," if i + 1 < len(items) else ""
        yield from lines
    yield " " * depth + closing


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
