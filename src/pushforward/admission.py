"""Check that a value from a file has the type that a class declares for an argument."""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from typing import Any


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """Return the declared types of a constructor's arguments; empty if a name in them cannot be resolved."""
    try:
        return typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except (NameError, TypeError):
        return {}


def admits(hint: Any, value: Any) -> bool:
    """Return whether a declared type admits a value.

    Numbers, texts, tuples of these, instances of classes and unions of these are checked. A whole number is also accepted as a
    float; a boolean is neither a whole number nor a float. Any other declared type accepts all values that are not plain.
    """
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(admits(part, value) for part in parts)
    if origin is typing.Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin is typing.Annotated:
        return admits(parts[0], value)
    if origin in (tuple, list, collections.abc.Sequence):
        return isinstance(value, tuple) and _admits_entries(parts, value)
    if hint in (bool, int, float, str):
        return _is_plain(hint, value)
    if isinstance(hint, type) and not getattr(hint, "_is_protocol", False):
        return isinstance(value, hint)
    return not isinstance(value, (bool, int, float, str, tuple, type(None)))


def _admits_entries(parts: tuple[Any, ...], value: tuple[Any, ...]) -> bool:
    if not parts:
        return True
    if len(parts) == 1 or parts[-1] is Ellipsis:
        return all(admits(parts[0], entry) for entry in value)
    return len(parts) == len(value) and all(map(admits, parts, value))


def _is_plain(hint: type, value: Any) -> bool:
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
