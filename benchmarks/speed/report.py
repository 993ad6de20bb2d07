"""The page: machine, aims, one table for each case, who is missing and why, and how it was measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..peers import NAMES, NOT_INSTALLED, OWN, PEERS
from .aims import NEVER_SLOWER, Aim, Cases, aims, best_peer, gpu_aims
from .cases.flows import COMPILED, DENSITY, FLOOR, FLOWS
from .machine import GPU, setting_title
from .results import Case, Cell, Ratio
from .runner import CASES
from .words import COLUMNS, INTRODUCTION, METHOD, TITLES, place, size_of, title_of

KEPT = "<!-- what follows is written by hand and kept -->"
DASH = "–"


def page(settings: Mapping[str, Cases], command: str, kept: str = "") -> str:
    """The whole page.

    Args:
        settings: the cases of each setting, by the setting's name.
        command: shown as what made the page.
        kept: what was written by hand below an earlier page.
    """
    parts = ["# Speed", "", INTRODUCTION.format(command=command), ""]
    for setting, cases in (settings or {"": {}}).items():
        if len(settings) > 1:
            parts += [f"## {setting_title(setting)}", ""]
        found = gpu_aims(cases) if setting.startswith(GPU) else aims(cases)
        parts += _setting(cases, found, "###" if len(settings) > 1 else "##")
    parts += ["## How it was measured", "", METHOD, ""]
    return "\n".join(parts) + kept


def kept_part(path: Path) -> str:
    """What an earlier page has from the line `KEPT` on."""
    if not path.exists():
        return ""
    _, mark, rest = path.read_text(encoding="utf-8").partition(KEPT)
    return f"\n{mark}{rest}" if mark else ""


def _setting(cases: Cases, aimed: list[Aim], mark: str) -> list[str]:
    lines = [f"{mark} What was aimed at", "", *_aims(aimed), ""]
    for name in CASES:
        if name not in cases or not cases[name].cells:
            continue
        case = cases[name]
        lines += [f"{mark} {TITLES[name][0]}", "", TITLES[name][1], "", *_tables(case), "", *_runs(case), ""]
    return [
        *lines,
        f"{mark} The same work",
        "",
        *_work(cases),
        "",
        f"{mark} Who is missing, and why",
        "",
        *_missing(cases),
        "",
    ]


def _aims(found: list[Aim]) -> list[str]:
    lines = ["| aim | worst value measured | reach it | |", "|---|---|---|---|"]
    for aim in found:
        if aim.worst is None:
            lines.append(f"| {aim.text} | {DASH} | {DASH} | {aim.verdict} |")
            continue
        value, where = aim.worst
        said = f"{number(value)} ({place(where)})" if where else number(value)
        lines.append(f"| {aim.text} | {said} | {aim.reached} of {len(aim.values)} | {aim.verdict} |")
    for aim in found:
        if aim.text == NEVER_SLOWER and aim.missing:
            said = "; ".join(f"{place(where)} {number(value)}" for value, where in aim.missing)
            lines += ["", f"Where a peer is faster, its time over Pushforward's: {said}."]
    return lines


def _tables(case: Case) -> list[str]:
    cells = sorted(case.cells.values(), key=_order)
    if case.name == "start":
        return _start(cells)
    if case.name == "peak":
        return _peak(cells)
    if case.name == "constant-memory":
        return _constant_memory(cells)
    with_own = [cell for cell in cells if cell.reference == OWN]
    lines = _beside(with_own) if with_own else []
    without = [cell for cell in cells if cell.reference != OWN]
    if without:
        said = "; ".join(sorted({cell.left_out.get(OWN, "not measured") for cell in without}))
        lines += ["", f"Without Pushforward ({said}): times over the floor's.", "", *_over_the_floor(without)]
    if case.name in ("sampling", "sampling-density"):
        lines += _in_densities(with_own)
    return lines + _failures(cells)


def _beside(cells: Sequence[Cell]) -> list[str]:
    compiled = any(OWN + COMPILED in cell.entries for cell in cells)
    floor = any(FLOOR in cell.entries for cell in cells)
    columns = ["system", COLUMNS]
    columns += ["Pushforward / floor"] if floor else []
    columns += ["compiled / floor" if floor else "compiled / eager"] if compiled else []
    peers = _present(cells)
    columns += [title_of(peer) for peer in peers]
    lines = [*_head(columns)]
    for cell in cells:
        row = [_row_title(cell), size_of(cell.key[1])]
        row += [shown(cell.ratio(OWN, FLOOR))] if floor else []
        row += [shown(cell.ratio(OWN + COMPILED, FLOOR if floor else OWN))] if compiled else []
        best = best_peer(cell)
        for peer in peers:
            text = shown(cell.ratio(peer, OWN))
            row.append(f"**{text}**" if best is not None and peer == best[1] else text)
        lines.append(_line(row))
    return lines + _compiled_peers(cells) + _pays_back(cells) + _milliseconds(cells)


def _milliseconds(cells: Sequence[Cell]) -> list[str]:
    """Of one call; measured on a GPU only."""
    entries = [(name, entry) for cell in cells for name, entry in cell.entries.items()]
    names = list(dict.fromkeys(name for name, entry in entries if "milliseconds" in entry.extra))
    if not names:
        return []
    lines = ["", "Milliseconds:", "", *_head(["system", COLUMNS, *map(title_of, names)])]
    for cell in cells:
        row = [f"{cell.entries[name].extra['milliseconds']:.3g}" if name in cell.entries else DASH for name in names]
        lines.append(_line([_row_title(cell), size_of(cell.key[1]), *row]))
    return lines


def _over_the_floor(cells: Sequence[Cell]) -> list[str]:
    peers = _present(cells)
    lines = [*_head(["system", COLUMNS, *map(title_of, peers)])]
    for cell in cells:
        row = [shown(cell.ratio(peer, FLOOR)) for peer in peers]
        lines.append(_line([_row_title(cell), size_of(cell.key[1]), *row]))
    return lines


def _in_densities(cells: Sequence[Cell]) -> list[str]:
    cells = [cell for cell in cells if OWN + DENSITY in cell.entries]
    if not cells:
        return []
    names = [name for name in NAMES if any(name + DENSITY in cell.entries for cell in cells)]
    lines = ["", "The same as multiples of one density of the same library at the same batch:", ""]
    lines += [*_head(["system", COLUMNS, *map(title_of, names)])]
    for cell in cells:
        row = [shown(cell.ratio(name, name + DENSITY)) for name in names]
        lines.append(_line([_row_title(cell), size_of(cell.key[1]), *row]))
    return lines


def _compiled_peers(cells: Sequence[Cell]) -> list[str]:
    peers = [peer for peer in PEERS if any(peer + COMPILED in cell.entries for cell in cells)]
    if not peers:
        return []
    lines = ["", "Both compiled (a peer with graph breaks allowed):", ""]
    lines += [*_head(["system", COLUMNS, *map(title_of, peers)])]
    for cell in cells:
        row = [shown(cell.ratio(peer + COMPILED, OWN + COMPILED)) for peer in peers]
        lines.append(_line([_row_title(cell), size_of(cell.key[1]), *row]))
    return lines


def _pays_back(cells: Sequence[Cell]) -> list[str]:
    said = []
    for cell in cells:
        entry, found = cell.entries.get(OWN + COMPILED), cell.ratio(OWN + COMPILED, OWN)
        if entry is None or found is None or "compiling" not in entry.extra:
            continue
        where = f"{_row_title(cell)} at ({size_of(cell.key[1])})"
        if found.median < 1:
            said.append(f"{where} {entry.extra['compiling'] / (1 - found.median):,.0f}")
        else:
            said.append(f"{where} never")
    if not said:
        return []
    return ["", f"Calls after which compiling has paid for itself, its own time included: {'; '.join(said)}."]


def _peak(cells: Sequence[Cell]) -> list[str]:
    names = [name for name in NAMES if any(name in cell.entries for cell in cells)]
    lines = [*_head(["system", COLUMNS, *(f"{title_of(name)}, MiB" for name in names)])]
    for cell in cells:
        row = [_row_title(cell), size_of(cell.key[1])]
        for name in names:
            entry, over = cell.entries.get(name), cell.ratio(name, OWN)
            if entry is None:
                row.append(DASH)
            else:
                row.append(
                    f"{entry.extra['saved']:.3g}" + (f" (x {number(over.median)})" if over and name != OWN else "")
                )
        lines.append(_line(row))
    lines += ["", "Growth of the process's peak, MiB:", "", *_head(["system", COLUMNS, *map(title_of, names)])]
    for cell in cells:
        grown = [f"{cell.entries[n].extra['resident']:.0f}" if n in cell.entries else DASH for n in names]
        lines.append(_line([_row_title(cell), size_of(cell.key[1]), *grown]))
    return lines + _failures(cells)


def _constant_memory(cells: Sequence[Cell]) -> list[str]:
    columns = [
        "system",
        COLUMNS,
        "training",
        "8 layers, MiB",
        "64 layers, MiB",
        "growth",
        "time at 64 layers / ordinary",
    ]
    lines = [*_head(columns)]
    for cell in cells:
        for mode, entry in cell.entries.items():
            extra = entry.extra
            row = [
                _row_title(cell),
                size_of(cell.key[1]),
                {"store": "ordinary", "invert": "constant memory"}.get(mode, mode),
            ]
            row += [f"{extra['few']:.3g}", f"{extra['many']:.3g}", number(extra["growth"])]
            lines.append(_line([*row, shown(cell.ratio(mode, "store"))]))
    return lines


def _start(cells: Sequence[Cell]) -> list[str]:
    names = [name for name in NAMES if any(name in cell.entries for cell in cells)]
    lines = [*_head(["", *map(title_of, names)])]
    for cell in cells:
        if cell.key == ("import",):
            row = [f"{cell.entries[n].extra['seconds']:.3f} s" if n in cell.entries else DASH for n in names]
            lines.append(_line(["import, above `import torch`", *row]))
        else:
            row = [shown(cell.ratio(name, OWN)) for name in names]
            lines.append(_line(["first density / Pushforward's", *row]))
    return lines + _failures(cells)


def _failures(cells: Iterable[Cell]) -> list[str]:
    """What failed in this case alone: compiled forms and calls that raised an error."""
    lines = []
    for cell in cells:
        for name, reason in cell.left_out.items():
            if ":" in name or _is_error(reason):
                lines.append(f"- {_row_title(cell)}, {', '.join(cell.key[1:])}: {title_of(name)}: {_safe(reason)}")
    return ["", "Not measured:", "", *lines] if lines else []


def _work(cases: Cases) -> list[str]:
    cells: dict[tuple[str, ...], Cell] = {}
    for name in FLOWS:
        if name in cases:
            cells |= {cell.key: cell for cell in cases[name].cells.values() if cell.work}
    if not cells:
        return ["Nothing measured."]
    names = [name for name in NAMES if any(name in cell.work for cell in cells.values())]
    lines = [
        "Trainable parameters, and matrix products of one density and of one draw, in passes of the networks:",
        "",
        *_head(["system", COLUMNS, "parameters", *map(title_of, names)]),
    ]
    for cell in sorted(cells.values(), key=_order):
        counts = sorted({int(found["parameters"]) for found in cell.work.values()})
        row = [
            _row_title(cell),
            size_of(cell.key[1]),
            " to ".join(f"{count:,}" for count in {counts[0]: 0, counts[-1]: 0}),
        ]
        for name in names:
            found = cell.work.get(name)
            row.append(DASH if found is None else f"{found['density']:.3g}, {found['sampling']:.3g}")
        lines.append(_line(row))
    notes: dict[str, dict[str, None]] = {}
    for cell in cells.values():
        for name, said in cell.notes.items():
            notes.setdefault(name, {}).update(dict.fromkeys(said))
    lines += ["", *(f"- {title_of(name)}: {note}." for name, said in notes.items() for note in said)]
    return lines


def _missing(cases: Cases) -> list[str]:
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for case in cases.values():
        for cell in case.cells.values():
            for name, reason in cell.left_out.items():
                if name in NAMES and not _is_error(reason):
                    where = case.name if case.name in ("spline", "start") else _row_title(cell)
                    reasons.setdefault((name, reason), {})[where] = None
    absent = {name for name, reason in reasons if reason == NOT_INSTALLED}
    lines = [f"- {title_of(name)}: not installed where this was measured." for name in NAMES if name in absent]
    for name, reason in sorted(reasons, key=lambda pair: NAMES.index(pair[0])):
        if name not in absent:
            lines.append(f"- {title_of(name)}, {', '.join(reasons[name, reason])}: {_safe(reason)}.")
    return lines or ["Nobody."]


def _is_error(reason: str) -> bool:
    return re.match(r"[A-Z]\w*(Error|Exception)", reason) is not None


def _runs(case: Case) -> list[str]:
    used: dict[str, list[str]] = {}
    for cell in case.cells.values():
        for name, entry in cell.entries.items():
            used.setdefault(entry.run, []).append(name.partition(":")[0])
    total = sum(map(len, used.values()))
    lines = []
    for run, names in sorted(used.items(), key=lambda item: case.runs[item[0]]["date"]):
        share = f" ({len(names)} of {total} numbers)" if len(used) > 1 else ""
        lines.append(f"Measured {_run(case.runs[run], {OWN, *names})}{share}.")
    return lines


def _run(run: dict[str, Any], names: set[str]) -> str:
    versions = ", ".join(f"{title_of(n)} {v}" for n, v in run["versions"].items() if n in names)
    threads = f"{run['threads']} thread{'s' if run['threads'] > 1 else ''}"
    return (
        f"{run['date']} on {run['machine']}, {threads}, {run['rounds']} rounds; "
        f"Python {run['python']}, torch {run['torch']}, {versions}"
    )


def _present(cells: Sequence[Cell]) -> list[str]:
    return [peer for peer in PEERS if any(peer in cell.entries for cell in cells)]


def _row_title(cell: Cell) -> str:
    title = title_of(cell.key[0])
    return title if len(cell.key) < 3 else f"{title}, {cell.key[2]}"


def _order(cell: Cell) -> tuple[int, ...]:
    from .cases.spline import DIRECTIONS
    from .work import SIZES, SYSTEMS

    places = [list(SYSTEMS), list(SIZES), list(DIRECTIONS)]
    return tuple(place.index(key) if key in place else 0 for place, key in zip(places, cell.key, strict=False))


def number(value: float) -> str:
    """Three digits."""
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def shown(found: Ratio | None) -> str:
    """Median and quartiles; with fewer than four rounds the median, and how many there were."""
    if found is None:
        return DASH
    if found.rounds < 4:
        return f"{number(found.median)} ({found.rounds} run{'s' if found.rounds > 1 else ''})"
    return f"{number(found.median)} ({number(found.low)} to {number(found.high)})"


def _safe(text: str) -> str:
    return text.replace("|", "/").replace("<", "&lt;").replace("`", "'").rstrip(".")


def _head(columns: Sequence[str]) -> list[str]:
    return [_line(columns), "|---|---|" + "---:|" * (len(columns) - 2)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
