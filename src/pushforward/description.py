"""The description in a model file: checks of the types and sizes of its entries before anything is built from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .errors import SpecError, brief

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""Names of the torch types that the weights of a model can have."""
ENTRIES: dict[str, tuple[type, ...]] = {
    "version": (str,),
    "model": (str,),
    "dtype": (str,),
    "tensors": (str,),
    "training": (dict,),
    "spec": (dict, type(None)),
    "schema": (dict, type(None)),
}
"""Types of the entries that every description has."""
TABLE_ENTRIES: dict[str, tuple[type, ...]] = {"label_hidden": (list,), "labels": (dict, type(None))}
"""Types of the additional entries for the model of a table; `labels` may be missing."""
STRUCTURE_ENTRIES: dict[str, tuple[type, ...]] = {"structure": (dict,)}
"""Types of the additional entries for a model put together by hand."""
KINDS = ("table", "system", "structure")
"""Kinds of models: one of a table with columns, one built by a spec, or one described by the classes of its parts."""
SMALL = 10_000
"""Whole numbers up to this one are allowed as arguments of models of any size."""
SMALL_ARGUMENT = 2**16
"""The same limit for the arguments of single layers, such as the bounds of integers."""


DEEPEST = 64
"""Largest depth of nested lists and dictionaries; descriptions have about six levels, and training records can have more."""


def is_deep(document: object) -> bool:
    """Return whether lists and dictionaries are nested deeper than allowed; computed without recursion."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [entry for value in level if isinstance(value, (dict, list)) for entry in _entries(value)]
    return bool(level)


def _entries(value: Any) -> Iterator[Any]:
    return iter(value.values() if isinstance(value, dict) else value)


def is_complete(document: Mapping[str, Any]) -> bool:
    """Return whether a description has all entries, each with a correct type."""
    more = {"table": TABLE_ENTRIES, "structure": STRUCTURE_ENTRIES}
    kind = document.get("model")
    entries = ENTRIES | (more.get(kind, {}) if isinstance(kind, str) else {})
    present = {"labels": None, **document}
    return all(name in present and isinstance(present[name], types) for name, types in entries.items())


def require_buildable(document: Mapping[str, Any], numbers: int) -> None:
    """Refuse a description that no model with this many numbers can have.

    A model with a large width, or with many layers or labels, has at least as many parameters. A description that passes this
    check is then built within a `Budget`.

    Args:
        document: A complete description (see `is_complete`).
        numbers: Number of values in the tensors of the file.

    Raises:
        SpecError: An entry is out of range; the message names it.
    """
    if document["model"] not in KINDS:
        raise SpecError(f"expected a model of kind 'table', 'system' or 'structure', got {brief(document['model'])}")
    if document["dtype"] not in DTYPES:
        raise SpecError(
            f"expected the description of one of the types {', '.join(DTYPES)}, got {brief(document['dtype'])}"
        )
    if document["model"] == "table" and document["schema"] is None:
        raise SpecError("expected the description of a table's columns, got none")
    for name, small in {"spec": SMALL, "labels": SMALL, "label_hidden": SMALL, "structure": SMALL_ARGUMENT}.items():
        for value in _whole_numbers(document.get(name)):
            if abs(value) > max(small, numbers):
                raise SpecError(
                    f"expected arguments that fit the {numbers:,} numbers in the file, got {brief(value)} in {name!r}"
                )


def _whole_numbers(value: Any) -> Iterator[int]:
    """Return all whole numbers in nested lists and dictionaries, without recursion."""
    waiting = [value]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, (dict, list)):
            waiting.extend(_entries(entry))
        elif isinstance(entry, int):
            yield entry
