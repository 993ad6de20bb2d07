"""`pushforward inspect` and `pushforward systems`: what a file holds, and what there is to fit."""

from __future__ import annotations

import dataclasses
import inspect as python_inspect
import re
import textwrap
import typing
from typing import Any

from .. import systems as _systems  # noqa: F401  (registers every system)
from ..serialize import inspect_file
from ..systems.picture_spec import PictureSpec
from ..systems.spec import Spec
from ..tables import Column, Schema
from ..terminal import write_output
from .display import MEANING, aligned, print_json
from .records import usable
from .summary import bits_text, score_text, training_text

_GIVEN = {False: ("features", "context"), True: ("shape", "levels", "classes", "condition")}
"""Arguments that follow from the data: those of systems of tables, and of pictures."""


def inspect_model(path: str, *, json: bool) -> int:
    """Print what the header of a model file says.

    Raises:
        FileError: it is no model file.
    """
    document = inspect_file(path)
    if json:
        print_json(document)
        return 0
    spec, training = document["spec"] or document.get("labels") or {}, usable(document["training"])
    schema = None if document["schema"] is None else Schema.from_dict(document["schema"])
    system = Spec.registry.get(str(spec.get("system", "")))
    pictures = system is not None and issubclass(system, PictureSpec)
    kind = "pictures" if pictures else "a table's rows" if schema is not None else "events"
    write_output(f"{path}: a model of {kind}, {document['parameters']:,} numbers of {document['dtype']}")
    write_output("")
    write_output(aligned(_facts(document, spec, training)))
    if schema is not None:
        write_output("")
        write_output(aligned([("column", "kind", "values"), *(_column_row(column) for column in schema.columns)]))
    scores = training.get("scores")
    if scores and pictures == ("value" in scores):
        write_output("")
        write_output((bits_text if pictures else score_text)(str(spec.get("system", "labels")), scores))
    return 0


def _facts(document: dict[str, Any], spec: dict[str, Any], training: dict[str, Any]) -> list[tuple[str, str]]:
    name = str(spec.get("system", ""))
    known = Spec.registry.get(name)
    # An empty list is an argument that was not given.
    arguments = ", ".join(f"{k}={_short(v)}" for k, v in spec.items() if k != "system" and v not in ([], ()))
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
        facts.append(("data", f"{data['name']}, {data['rows']:,} rows"))
        facts += [("without", ", ".join(data["dropped"]))] if data.get("dropped") else []
    if training.get("train_rows") and not data.get("pictures"):
        rows = f"{training['train_rows']:,} rows to train, {training['validation_rows']:,} to validate"
        if training.get("scores") and training["scores"]["rows"] == "test":
            rows += f", {training['scores']['count']:,} to test"
        facts.append(("split", f"{rows}, seed {split.get('seed', training.get('seed'))}"))
    if training_text(training):
        facts.append(("training", training_text(training)))
    if training.get("best_validation") is not None:
        facts.append(
            ("validation", f"{training['best_validation']:.4f} nats per {'picture' if data.get('pictures') else 'row'}")
        )
    written = f"pushforward {document['version']}"
    facts.append(("written by", f"{written}, {training['created']}" if training.get("created") else written))
    # A name is shown once where its value takes several lines.
    return [(key if i == 0 or facts[i - 1][0] != key else "", value) for i, (key, value) in enumerate(facts)]


def _column_row(column: Column) -> tuple[str, str, str]:
    if column.kind == "constant":
        values = column.categories[0] if column.categories else f"{column.value:g}"
    elif column.kind == "categorical":
        values = textwrap.shorten(", ".join(column.categories), 60, placeholder=" ...")
    elif column.kind == "integer":
        values = f"{column.support[0]:g} to {column.support[1]:g}"
    else:
        low, high = (f"{side:g}" if side is not None else "" for side in (column.low, column.high))
        values = "any number" if not low and not high else f"above {low}" if not high else f"below {high}"
        values = f"{low} to {high}" if low and high else values
    return column.name, column.kind, values + (", or missing" if column.missing else "")


def list_systems(name: str | None, *, json: bool) -> int:
    """Print every system, or the arguments of one.

    Raises:
        SpecError: there is no system of that name.
    """
    if name is not None:
        return _describe(name, json=json)
    found = [_system(cls) for _, cls in sorted(Spec.registry.items())]
    if json:
        print_json(found)
        return 0
    rows = [("system", "family", "log-likelihood", "paper")]
    for system in found:
        meaning = MEANING[system["symbol"]].partition(":")[0].partition(",")[0]
        rows.append((system["name"], system["family"], f"{system['symbol']:2} {meaning}", system["paper"]))
    write_output(aligned(rows, indent=0))
    return 0


def _describe(name: str, *, json: bool) -> int:
    cls = Spec.registry.get(name)
    if cls is None:
        from ..systems.spec import build

        # It raises the library's own sentence, with a hint.
        build(name)
        return 1
    system = _system(cls)
    arguments = _arguments(cls)
    if json:
        print_json({**system, "arguments": arguments})
        return 0
    write_output(f"{name}: {system['about']}")
    write_output(f"{system['paper']}; family: {system['family']}; log-likelihood: {MEANING[system['symbol']]}")
    write_output("")
    pictures = issubclass(cls, PictureSpec)
    rows = [("argument", "type", "default", "")]
    rows += [(a["name"], a["type"], a["default"], a["about"]) for a in arguments if a["name"] not in _GIVEN[pictures]]
    write_output(aligned(rows))
    given = [f"{a['name']} ({a['about'].rstrip('.')})" for a in arguments if a["name"] in _GIVEN[pictures]]
    where = "by the pictures" if pictures else "in a table by its columns"
    write_output(f"\n  given {where}: {', '.join(given)}" if given else "")
    for preset, values in cls.presets.items():
        write_output(f"  --preset {preset}: {', '.join(f'{key}={_short(value)}' for key, value in values.items())}")
    write_output(
        f"  pushforward fit {'pictures/' if pictures else 'table.csv'} --flow {name} --set NAME=VALUE --out model.flow"
    )
    return 0


def _system(cls: type[Spec]) -> dict[str, str]:
    first = next(cls.cases())
    return {
        "name": cls.name,
        "family": cls.family,
        "symbol": first.build().exactness.symbol,
        "paper": cls.paper,
        "about": (python_inspect.getdoc(cls) or "").partition("\n")[0],
    }


def _arguments(cls: type[Spec]) -> list[dict[str, str]]:
    hints, docs = typing.get_type_hints(cls), _argument_docs(cls)
    return [
        {
            "name": field.name,
            "type": _type_text(hints[field.name]),
            "default": "" if field.default is dataclasses.MISSING else _short(field.default),
            "about": docs.get(field.name, ""),
        }
        for field in dataclasses.fields(cls)
    ]


def _argument_docs(cls: type[Spec]) -> dict[str, str]:
    """What the Args sections of the class and of those it shares arguments with say of each."""
    found: dict[str, str] = {}
    for part in reversed(cls.__mro__):
        section = (python_inspect.cleandoc(part.__dict__.get("__doc__") or "")).partition("Args:\n")[2]
        entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.M)
        found |= {name: " ".join(text.split()) for name, text in entries}
    return found


def _type_text(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "|".join(map(str, arguments))
    if origin is tuple:
        return f"{_type_text(arguments[0])},..."
    if arguments:
        return "|".join(map(_type_text, arguments))
    return "none" if hint is type(None) else getattr(hint, "__name__", str(hint))


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_short, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
