"""Command `pushforward systems`: a list of all systems, or the arguments of one."""

from __future__ import annotations

from ..catalogue import System, argument_text, known_systems
from ..errors import SpecError, brief, suggestion
from .console import MEANING, Terminal, aligned


def list_systems(name: str | None, *, json: bool) -> int:
    """Print every system, or the arguments of one.

    Raises:
        SpecError: There is no system of that name.
    """
    terminal, found = Terminal(json=json), known_systems()
    if name is None:
        rows = [("system", "family", "log-likelihood", "paper")]
        for system in found.values():
            meaning = MEANING[system.symbol].partition(":")[0].partition(",")[0]
            rows.append((system.name, system.family, f"{system.symbol:2} {meaning}", system.paper))
        terminal.conclude(aligned(rows, indent=0), [system.to_dict() for system in found.values()])
        return 0
    if name not in found:
        raise SpecError(f"unknown system {brief(name)}; {suggestion(name, list(found), 'known:')}")
    system = found[name]
    terminal.conclude(_description(system), {**system.to_dict(), "arguments": system.arguments})
    return 0


def _description(system: System) -> str:
    name, given = system.name, system.sizes
    rows = [("argument", "type", "default", "")]
    rows += [(a["name"], a["type"], a["default"], a["about"]) for a in system.arguments if a["name"] not in given]
    follow = [f"{a['name']} ({a['about'].rstrip('.')})" for a in system.arguments if a["name"] in given]
    where = "by the pictures" if system.pictures else "in a table by its columns"
    lines = [
        f"{name}: {system.about}",
        f"{system.paper}; family: {system.family}; log-likelihood: {MEANING[system.symbol]}",
        "",
        aligned(rows),
        f"\n  given {where}: {', '.join(follow)}" if follow else "",
    ]
    for preset, values in system.presets.items():
        arguments = ", ".join(f"{key}={argument_text(value)}" for key, value in values.items())
        lines.append(f"  --preset {preset}: {arguments}")
    source = "pictures/" if system.pictures else "table.csv"
    return "\n".join([*lines, f"  pushforward fit {source} --flow {name} --set NAME=VALUE --out model.flow"])
