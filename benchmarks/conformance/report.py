"""Table of results in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from .result import CHECKS, Result

Row = tuple[str, str]
"""Library and flow."""


@dataclass
class Table:
    """Results by library and flow, and then by check.

    Args:
        results: Result by (library, flow) and by the name of the check.
        versions: Version of each library.
        absent: Reason for each library that was left out.
    """

    results: dict[Row, dict[str, Result]]
    versions: dict[str, str]
    absent: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        rows = [
            {"library": library, "flow": flow, "results": {name: asdict(r) for name, r in found.items()}}
            for (library, flow), found in self.results.items()
        ]
        return {"rows": rows, "versions": self.versions, "absent": self.absent}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Table:
        """Return the table that `to_dict` described."""
        results = {
            (row["library"], row["flow"]): {name: Result(**r) for name, r in row["results"].items()}
            for row in values["rows"]
        }
        return cls(results, dict(values["versions"]), dict(values["absent"]))

    def update(self, other: Table) -> None:
        """Add the rows of another table."""
        self.results.update(other.results)
        self.versions.update(other.versions)
        self.absent.update(other.absent)


def markdown(table: Table, command: str) -> str:
    """Return the whole page: versions, the table, a sentence for each column, and every failure with its measurement.

    Args:
        table: Results.
        command: Command that made the page.
    """
    columns = [name for name in CHECKS if any(name in found for found in table.results.values())]
    return "\n".join(
        [
            "# Conformance",
            "",
            f"Written by `{command}`. The same checks, tolerances, seeds and perturbation of the parameters for every "
            "flow; each library runs in a process of its own. ✓ passes, ✗ fails (listed below with what was measured), "
            "– says nothing here.",
            "",
            *_versions(table),
            "",
            *_grid(table, columns),
            "",
            "## What each column demands",
            "",
            "Flows have three layers with hidden widths of 32 or the library's default. Unless a sentence says otherwise every "
            "trainable parameter has had normal noise of standard deviation 0.5 / sqrt(fan-in) added, and the model is in "
            "evaluation mode and float64; in float32 where the library raises an error in float64, with tolerances of 1e-3 for "
            "the two log-determinant columns. Matrix products are counted, not timed.",
            "",
            *(f"- **{name}**: {CHECKS[name].sentence}" for name in columns),
            "",
            "## Failures",
            "",
            *_list(table, {"fail", "error"}),
            "",
            "## Not applicable",
            "",
            *_list(table, {"n.a."}),
            "",
        ]
    )


def _versions(table: Table) -> list[str]:
    lines = [f"- Python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}"]
    lines += [f"- {library} {version}" for library, version in table.versions.items()]
    return lines + [f"- {library}: left out, {reason}" for library, reason in table.absent.items()]


def _grid(table: Table, columns: list[str]) -> list[str]:
    lines = [f"| flow | {' | '.join(columns)} | passed |", "|---|" + ":-:|" * (len(columns) + 1)]
    for (library, flow), found in table.results.items():
        said = [found[name].status for name in columns if name in found and found[name].status != "n.a."]
        cells = [found[name].symbol if name in found else "" for name in columns]
        lines.append(f"| {library} {flow} | {' | '.join(cells)} | {said.count('pass')}/{len(said)} |")
    return lines


def _list(table: Table, statuses: set[str]) -> list[str]:
    lines = [
        f"- {library} {flow}, {name}: {_said(result)}"
        for (library, flow), found in table.results.items()
        for name, result in found.items()
        if result.status in statuses
    ]
    return lines or ["None."]


def _said(result: Result) -> str:
    numbers = "" if result.measured is None else f"{result.measured:.3g} > {result.tolerance:g}"
    reason = result.reason.replace("|", "/").replace("<", "&lt;").replace("`", "'")
    return "; ".join(part for part in (numbers, reason) if part)
