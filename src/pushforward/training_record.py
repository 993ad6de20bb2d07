"""The training record in a model file, reduced to the entries that can be used.

`pushforward.save` takes any record, and a file can come from anywhere. The command line and the report read entries of a
known form; entries of another form are left out, as if they had not been saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SYMBOLS = ("=", ">=", "<=", "~")
"""Symbols of `Exactness`."""
PARTS = ("test", "validation", "all")
"""Names of the parts of the rows that a score can be computed on."""
_Shape = Any
"""Form of a value: a type, a choice of types or values (a tuple), a list with a form for its entries, or a dictionary with a
form for each name. A name that ends in ? may be missing; the name * stands for all others."""

_COUNT, _NUMBER, _TEXT = int, (int, float, None), (str, None)
_SCORE = {"symbol": SYMBOLS, "impossible": _COUNT}
_BASELINE = {"name": str, "mean": _NUMBER, "standard_error": _NUMBER, "note": str}
_TABLE_SCORES: _Shape = {
    **_SCORE,
    "rows": PARTS,
    "count": _COUNT,
    "mean": _NUMBER,
    "standard_error": _NUMBER,
    "baselines": [(_BASELINE, {**_BASELINE, "gain": _NUMBER, "gain_standard_error": _NUMBER})],
    "baseline_rows": _COUNT,
    "note": str,
    "solver?": ({"sentence": str, "*": object}, None),
}
_PICTURE_SCORES: _Shape = {
    **_SCORE,
    "symbol": SYMBOLS,
    "rows": PARTS[:2],
    "events": _COUNT,
    "value": _NUMBER,
    "error": _NUMBER,
    "baselines": [{"name": str, "value": float}],
    "*": object,
}
_EPOCH: _Shape = {"epoch": _COUNT, "train": _NUMBER, "validation": _NUMBER, "*": object}
_SIZES = {"image_size?": (_COUNT, None), "tiles?": (_COUNT, None)}
SHAPES: dict[str, _Shape] = {
    "data": (
        {"name": str, "pictures": {"*": _COUNT}, "label": _TEXT, "classes": [str], **_SIZES, "*": object},
        {"name": str, "rows": _COUNT, "dropped": [str], "*": object},
    ),
    "split": {"rows": _COUNT, "test": (int, float), "validation": (int, float), "seed": _COUNT, "digest": str},
    "scores": (_TABLE_SCORES, _PICTURE_SCORES),
    "versions": {"*": str},
    "config": {"*": (str, bool, int, float, None)},
    "history": [_EPOCH],
    "epochs": _COUNT,
    "steps": _COUNT,
    "seconds": (int, float),
    "best_epoch": _COUNT,
    "best_validation": _NUMBER,
    "train_rows": _COUNT,
    "validation_rows": _COUNT,
    "seed": _COUNT,
    "stopped": str,
    "message": str,
    "created": str,
    "found": [str],
}
"""Forms of the entries that the commands read."""
TOGETHER = (("epochs", "seconds"), ("train_rows", "validation_rows"), ("best_validation", "epochs"))
"""Pairs of entries of which the first is used only together with the second."""


def usable(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a record that have the expected form, and all entries that the commands do not read."""
    kept = {name: value for name, value in training.items() if name not in SHAPES or fits(value, SHAPES[name])}
    for name, other in TOGETHER:
        if other not in kept:
            kept.pop(name, None)
    return kept


def fits(value: Any, shape: _Shape) -> bool:
    """Return whether a value has a form (see `_Shape`)."""
    if isinstance(shape, tuple):
        return any(fits(value, choice) for choice in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(entry, shape[0]) for entry in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and _entries_fit(value, shape)
    if shape is int or shape is float:
        return isinstance(value, shape) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, shape) if isinstance(shape, type) else value == shape


def _entries_fit(value: Mapping[str, Any], shape: Mapping[str, _Shape]) -> bool:
    needed = {name for name in shape if name != "*" and not name.endswith("?")}
    named = {name.rstrip("?"): entry for name, entry in shape.items() if name != "*"}
    if not needed <= value.keys():
        return False
    return all(
        fits(entry, named[name]) if name in named else "*" in shape and fits(entry, shape["*"])
        for name, entry in value.items()
    )
