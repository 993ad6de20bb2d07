"""Training records and scores as text, for `fit`, `report` and `inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .display import BITS_MEANING, MEANING, aligned, duration, estimate, joined

ENDINGS = {
    "converged": "all epochs done",
    "patience": "validation stopped improving",
    "limit": "limit of steps or time reached",
    "callback": "ended by a callback",
    "interrupted": "interrupted",
    "nonfinite": "the loss was no longer finite",
}
PICTURE_PARTS = {"test": "test pictures", "validation": "validation pictures, which also chose when to stop,"}
ROW_PARTS = {"test": "test rows", "validation": "validation rows, which also chose when to stop", "all": "rows"}


def score_text(system: str, scores: Mapping[str, Any]) -> str:
    """The held-out score beside the baselines, as a table with a line on what it means."""
    rows = [[system, scores["symbol"], *estimate(scores["mean"], scores["standard_error"]), ""]]
    skipped = []
    for entry in scores["baselines"]:
        if "gain" not in entry:
            skipped.append(f"  {entry['name']}: {entry['note']}")
            continue
        gain = joined(entry["gain"], entry["gain_standard_error"], sign=True)
        rows.append([entry["name"], "", *estimate(entry["mean"], entry["standard_error"]), gain])
    rows.insert(0, ["", "", "", "nats per row", f"{system} is better by" if len(rows) > 1 else ""])
    lines = [
        f"log-likelihood of {scores['count']:,} {ROW_PARTS[scores['rows']]}, in the table's units ± standard error",
        "",
    ]
    lines += [aligned(rows, right=(2,)), ""]
    lines.append(f"  {scores['symbol']} is {MEANING[scores['symbol']]}")
    if scores.get("solver"):
        lines.append(f"  {scores['solver']['sentence']}")
    if scores["impossible"]:
        lines.append(f"  {impossible_text(scores['impossible'], scores['count'])}")
    if scores["baselines"]:
        lines.append(f"  baselines are fitted to the {scores['baseline_rows']:,} other rows; higher is better")
    elif scores["note"]:
        lines.append(f"  no baselines: {scores['note']}")
    return "\n".join(lines + skipped)


def impossible_text(impossible: int, count: int) -> str:
    """About rows outside of the model's support."""
    rows = "row has" if impossible == 1 else "rows have"
    return f"{impossible:,} of {count:,} {rows} probability zero: a value outside its column's range in training"


def training_text(training: Mapping[str, Any]) -> str:
    """How training went, in one line; empty without a record."""
    if training.get("epochs") is None:
        return ""
    parts = [f"{training['epochs']:,} epochs in {duration(training['seconds'])}"]
    if training.get("best_epoch"):
        parts.append(f"best epoch {training['best_epoch']:,}")
    parts.append(ENDINGS.get(str(training.get("stopped")), str(training.get("stopped"))))
    return ", ".join(parts)


def bits_text(system: str, scores: Mapping[str, Any]) -> str:
    """Bits per dimension of held-out pictures beside the baselines', as a table with a line on what they mean."""
    value, error = estimate(scores["value"], scores["error"])
    rows = [["", "", "bits/dim", ""], [system, scores["symbol"], value, error]]
    rows += [[entry["name"], "=", f"{entry['value']:.4f}", ""] for entry in scores["baselines"]]
    lines = [
        f"bits per dimension of {scores['events']:,} {PICTURE_PARTS[scores['rows']]} ± standard error, lower is better",
        "",
        aligned(rows, right=(2,)),
        "",
    ]
    text = f"  {scores['symbol']} is {BITS_MEANING[scores['symbol']]}"
    lines.append(text + (", from one draw of noise; score --samples tightens it" if scores["symbol"] == "<=" else ""))
    if scores["impossible"]:
        lines.append(f"  {scores['impossible']:,} pictures of probability zero are left out")
    return "\n".join(lines)
