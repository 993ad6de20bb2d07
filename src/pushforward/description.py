"""The description in a model file: the types and sizes of its entries, checked before anything is built from it."""

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
"""Types of those that the description of a table's model has, too; `labels` can be missing."""
STRUCTURE_ENTRIES: dict[str, tuple[type, ...]] = {"structure": (dict,)}
"""Types of those that the description of a model put together by hand has, too."""
KINDS = ("table", "system", "structure")
"""What describes a model: a table's columns, a spec, or the classes of its parts."""
SMALL = 10_000
"""Whole numbers up to it are arguments of models of any size."""
SMALL_ARGUMENT = 2**16
"""The same for arguments of single layers, such as the bounds of integers."""


DEEPEST = 64
"""Levels of lists and dictionaries in each other; descriptions have about six, and a record of training can have more."""


def is_deep(document: object) -> bool:
    """Return whether lists and dictionaries are nested deeper than any description is; found without recursion."""
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [entry for value in level if isinstance(value, (dict, list)) for entry in _entries(value)]
    return bool(level)


def _entries(value: Any) -> Iterator[Any]:
    return iter(value.values() if isinstance(value, dict) else value)


def is_complete(document: Mapping[str, Any]) -> bool:
    """Return whether a description has all entries, each of its type."""
    more = {"table": TABLE_ENTRIES, "structure": STRUCTURE_ENTRIES}
    kind = document.get("model")
    entries = ENTRIES | (more.get(kind, {}) if isinstance(kind, str) else {})
    present = {"labels": None, **document}
    return all(name in present and isinstance(present[name], types) for name, types in entries.items())


def require_buildable(document: Mapping[str, Any], numbers: int) -> None:
    """Refuse a description that no model with so many numbers can have.

    A width, a number of layers or of labels has at least as many parameters. What passes is built within a `Budget`.

    Args:
        document: Complete; see `is_complete`.
        numbers: Number of numbers in the tensors of the file.

    Raises:
        SpecError: Naming the entry.
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
    """All whole numbers in nested lists and dictionaries, without recursion."""
    waiting = [value]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, (dict, list)):
            waiting.extend(_entries(entry))
        elif isinstance(entry, int):
            yield entry
