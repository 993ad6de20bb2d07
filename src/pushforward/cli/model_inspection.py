"""Command `pushforward inspect`: the content of the header of a model file, read without torch."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from ..catalogue import System, argument_text, known_systems
from ..errors import FileError
from ..model_header import inspect_file
from ..training_record import fits, usable
from .console import Terminal, aligned, bits_text, score_text, training_text

_NUMBER = (int, float, None)
COLUMN: dict[str, Any] = {
    "name": str,
    "kind": ("continuous", "integer", "categorical", "constant"),
    "missing?": bool,
    "categories?": [str],
    "value?": (int, float),
    "low?": _NUMBER,
    "high?": _NUMBER,
    "*": object,
}
"""Expected form of the entries of a column, in the notation of `training_record`."""


def inspect_model(path: str, *, json: bool) -> int:
    """Print the content of the header of a model file.

    Raises:
        FileError: The file is no model file, or its columns have an unknown form.
    """
    document = inspect_file(path)
    if json:
        Terminal().dump(document)
        return 0
    terminal = Terminal()
    spec, training = document["spec"] or document.get("labels") or {}, usable(document["training"])
    system = known_systems().get(str(spec.get("system", "")))
    pictures, clips = (system is not None and system.pictures), (system is not None and system.clips)
    schema = document["schema"]
    columns = None if schema is None else schema.get("columns")
    if schema is not None and not (columns and fits(columns, [COLUMN])):
        raise FileError(f"{path} holds a description of columns that this version cannot read")
    kind = "pictures" if pictures else "clips" if clips else "a table's rows" if schema is not None else "events"
    terminal.show(f"{path}: a model of {kind}, {document['parameters']:,} numbers of {document['dtype']}\n")
    terminal.show(aligned(_facts(document, spec, system, training)))
    if columns is not None:
        terminal.show("\n" + aligned([("column", "kind", "values"), *map(_column_row, columns)]))
    scores = training.get("scores")
    name = str(spec.get("system", "labels"))
    if scores and (pictures or clips) == ("value" in scores):
        text = bits_text(name, scores, kind) if pictures or clips else score_text(name, scores)
        terminal.show(f"\n{text}")
    return 0


def _facts(
    document: dict[str, Any], spec: dict[str, Any], known: System | None, training: dict[str, Any]
) -> list[tuple[str, str]]:
    name = str(spec.get("system", ""))
    # An empty list stands for an argument that was not given.
    arguments = ", ".join(f"{k}={argument_text(v)}" for k, v in spec.items() if k != "system" and v not in ([], ()))
    without = "none: put together by hand" if document["model"] == "structure" else "labels only"
    facts = [("system", f"{name}: {known.paper}" if known else name or without)]
    if document["spec"] and document.get("labels"):
        facts.append(("labels", str(document["labels"].get("system", ""))))
    facts += [("arguments", line) for line in textwrap.wrap(arguments, 100)]
    data, split = training.get("data", {}), training.get("split", {})
    if data.get("pictures"):
        counts = ", ".join(f"{count:,} to {what}" for what, count in data["pictures"].items())
        facts.append(("data", f"{data['name']}, pictures: {counts}".replace("to valid", "to validate")))
        facts += (
            [("by", f"{data['label']}: {', '.join(data['classes']) or spec.get('classes')}")]
            if data.get("label")
            else []
        )
    elif data:
        facts.append(("data", f"{data['name']}, {data['rows']:,} {'clips' if 'clips' in data else 'rows'}"))
        facts += [("without", ", ".join(data["dropped"]))] if data.get("dropped") else []
    if training.get("train_rows") and not data.get("pictures"):
        noun = "clips" if "clips" in data else "rows"
        rows = f"{training['train_rows']:,} {noun} to train, {training['validation_rows']:,} to validate"
        if training.get("scores") and training["scores"]["rows"] == "test":
            rows += f", {training['scores'].get('count', training['scores'].get('events')):,} to test"
        facts.append(("split", f"{rows}, seed {split.get('seed', training.get('seed'))}"))
    if training_text(training):
        facts.append(("training", training_text(training)))
    if training.get("best_validation") is not None:
        facts.append(
            ("validation", f"{training['best_validation']:.4f} nats per {'picture' if data.get('pictures') else 'row'}")
        )
    facts += [("found", line) for line in training.get("found", [])]
    written = f"pushforward {document['version']}"
    facts.append(("written by", f"{written}, {training['created']}" if training.get("created") else written))
    # If a value takes several lines, its name is shown only in the first line.
    return [(key if i == 0 or facts[i - 1][0] != key else "", value) for i, (key, value) in enumerate(facts)]


def _column_row(column: Mapping[str, Any]) -> tuple[str, str, str]:
    kind, labels = column["kind"], column.get("categories") or []
    low, high = (f"{side:g}" if side is not None else "" for side in (column.get("low"), column.get("high")))
    if kind == "constant":
        values = labels[0] if labels else f"{column.get('value', 0):g}"
    elif kind == "categorical":
        values = textwrap.shorten(", ".join(labels), 60, placeholder=" ...")
    elif low and high:
        values = f"{low} to {high}"
    else:
        values = f"above {low}" if low else f"below {high}" if high else "any number"
    return column["name"], kind, values + (", or missing" if column.get("missing") else "")
