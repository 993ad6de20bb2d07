"""Values that are written as text: NAME=VALUE pairs, bounds, arguments of systems, fractions of rows."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Union

from .problems import UsageError

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def pairs(texts: Sequence[str], option: str, example: str) -> dict[str, str]:
    """NAME=VALUE texts as a dictionary.

    Args:
        texts: as given.
        option: its flag, for the message.
        example: likewise.

    Raises:
        UsageError: one is no such pair.
    """
    found = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise UsageError(f"expected {option} NAME=VALUE, such as {option} {example}, got {text!r}")
        found[name.strip()] = value.strip()
    return found


def bounds(texts: Sequence[str]) -> dict[str, tuple[float | None, float | None]]:
    """COLUMN=LOW:HIGH texts; an empty side is no bound.

    Raises:
        UsageError: one is no such pair.
    """
    found: dict[str, tuple[float | None, float | None]] = {}
    for name, text in pairs(texts, "--bounds", "share=0:1").items():
        low, colon, high = text.partition(":")
        try:
            if not colon:
                raise ValueError
            found[name] = (float(low) if low.strip() else None, float(high) if high.strip() else None)
        except ValueError:
            raise UsageError(
                f"expected --bounds {name}=LOW:HIGH with numbers or nothing on either side, got {text!r}"
            ) from None
    return found


def part(value: float, option: str) -> int | float:
    """A fraction below 1 as it is, a number of rows as an integer.

    Raises:
        UsageError: it is neither.
    """
    if 0 < value < 1:
        return value
    if value < 0 or not value.is_integer():
        raise UsageError(f"expected {option} to be a fraction below 1 or a whole number of rows, got {value:g}")
    return int(value)


def typed(texts: Mapping[str, str], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as values of the declared types; what does not fit stays text, and the system refuses it by name."""
    return {name: _typed(text, hints.get(name, str)) for name, text in texts.items()}


def _typed(text: str, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_typed(entry.strip(), arguments[0]) for entry in text.split(",") if entry.strip())
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and type(None) in arguments:
            return None
        return _typed(text, next(a for a in arguments if a is not type(None)))
    if hint is bool:
        return _TRUTH.get(text.lower(), text)
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            return text
    return text
