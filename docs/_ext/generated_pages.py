"""Text of the two generated pages: every registered system, and the help of every command."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from pushforward.catalogue import System, known_systems
from pushforward.systems.spec import Spec

MEANING = {
    "=": "exact",
    ">=": "a lower bound of the log-likelihood",
    "<=": "an upper bound of the log-likelihood",
    "~": "approximate: a numerical solver computes it",
}
FAMILIES = {
    "autoregressive": "Autoregressive flows",
    "coupling": "Coupling flows",
    "spline": "Spline flows",
    "continuous": "Continuous flows",
    "residual": "Residual flows",
    "images": "Pictures",
    "integers": "Whole numbers",
    "labels": "Labels",
    "rows": "Whole rows",
    "variational": "Posteriors",
    "simulation": "Simulators",
    "energy": "Densities normalised on a grid",
}
"""Heading of each family, in the order of the page; families that are not listed come after these."""


def systems_page() -> str:
    """Return the page of systems: the paper, arguments and presets of each, and the meaning of its `log_prob`."""
    systems = known_systems()
    found = {system.family for system in systems.values()}
    families = [f for f in FAMILIES if f in found] + sorted(found - set(FAMILIES))
    lines = [
        "# Systems",
        "",
        "This page lists every named system with its arguments, for readers who choose one or set its options.",
        "`pushforward systems` prints the same list, and [Choosing a system](../choosing.md) compares them.",
        "",
        '`pf.build("NAME", ...)` builds a model in Python. `--flow NAME` and `--set ARGUMENT=VALUE` do it on the command line.',
        "Arguments without a default are required in Python; on the command line they follow from the data.",
        "",
        "| system | what it is |",
        "| --- | --- |",
        *(f"| [{name}](#{_anchor(name)}) | {_cell(system.about)} |" for name, system in systems.items()),
    ]
    for family in families:
        members = [system for system in systems.values() if system.family == family]
        lines += ["", f"## {FAMILIES.get(family, family.capitalize())}"]
        for system in members:
            lines += ["", *_section(system, Spec.registry[system.name])]
    return "\n".join(lines) + "\n"


def _section(system: System, cls: type[Spec]) -> list[str]:
    lines = [f"({_anchor(system.name)})=", f"### {system.name}", ""]
    lines += ["```{eval-rst}", f".. py:class:: pushforward.systems.{cls.__name__}", "   :no-typesetting:", "```", ""]
    lines += [*_prose(cls), ""]
    lines += [
        f"{system.paper}. Class: `pushforward.systems.{cls.__name__}`. `log_prob` is {MEANING[system.symbol]}.",
        "",
    ]
    lines += ["| argument | default | meaning |", "| --- | --- | --- |"]
    for argument in system.arguments:
        default = f"`{argument['default']}`" if argument["default"] else "empty"
        if not argument["default"] and argument["name"] in system.sizes:
            default = "from the data"
        about = argument["about"][:1].upper() + argument["about"][1:]
        kind = argument["type"].replace("|", " or ").replace(",...", ", ...")
        lines.append(f"| `{argument['name']}` | {default} | {_cell(about)} <span class='kind'>({_cell(kind)})</span> |")
    for name, values in system.presets.items():
        text = ", ".join(f"{key}={value}" for key, value in values.items())
        lines += ["", f"Preset `{name}`: `{text}`."]
    return lines


def _anchor(name: str) -> str:
    return f"system-{name}"


def _prose(cls: type[Spec]) -> list[str]:
    """The docstring before its sections, with indented formulas as blocks of code."""
    text = re.split(r"\n\n(?:Args|Returns|Raises|References|Attributes):\n", inspect.cleandoc(cls.__doc__ or ""))[0]
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            lines += ["```text", *(line[4:] for line in paragraph.splitlines()), "```", ""]
        else:
            lines += [_plain(paragraph), ""]
    return lines[:-1]


def _plain(text: str) -> str:
    """Text whose formulas Markdown leaves alone, outside of spans of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if i % 2 else re.sub(r"([*_<>\[\]|~$])", r"\\\1", part) for i, part in enumerate(parts))


def _cell(text: str) -> str:
    return _plain(text).replace("\n", " ")


def command_line_page() -> str:
    """Return the page of commands, made from the options as `pushforward --help` has them."""
    from pushforward.cli.app import app

    text = app.generate_docs(output_format="markdown", heading_level=1)
    head, _, body = text.partition("\n## pushforward ")
    commands = re.findall(r"^\* \[`(\w+)`\]\(#[\w-]+\): (.*)$", head, re.M)
    lines = [
        "# Command line",
        "",
        "This page has the help of every command, for readers who look up an option.",
        "`pushforward COMMAND --help` prints the same.",
        "[First steps](../first-steps.md) shows the commands at work.",
        "",
        "Options can also be set by environment variables, such as `PUSHFORWARD_FIT_LR=1e-3`,",
        "and in a file given by `--config`.",
        "With `--debug` an error shows its traceback. The file name `-` stands for standard input or output.",
        "",
        "| command | what it does |",
        "| --- | --- |",
        *(f"| [{name}](#{name}) | {about} |" for name, about in commands),
        "",
    ]
    body = re.sub(r"^pushforward (\w+) \1 ", r"pushforward \1 ", "## " + body, flags=re.M)
    body = re.sub(r"^## pushforward (\w+)", r"## \1", body, flags=re.M)
    return "\n".join(lines) + body


def write_pages(folder: Path) -> None:
    """Write both pages where their text has changed."""
    for name, text in (("systems.md", systems_page()), ("command-line.md", command_line_page())):
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
