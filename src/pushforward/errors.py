"""Errors that this library raises on bad input; each message says what was expected, what was given, and what to do."""

import difflib
from collections.abc import Collection

MOST_NAMES = 20
"""Largest number of known names in a message."""
LONGEST_NAME = 200
"""Number of characters of an unknown name that are compared with known ones."""


class FlowError(ValueError):
    """Base class of all errors that this library raises on bad input."""


class ShapeError(FlowError):
    """The shape of an event, batch or space does not fit."""


class ContextError(FlowError):
    """A context is missing, unexpected, or has the wrong shape."""


class DomainError(FlowError):
    """A value lies outside the support, or is not finite."""


class InversionError(FlowError):
    """A numeric inverse did not converge."""


class SolverError(FlowError):
    """A differential equation could not be solved."""


class SpecError(FlowError):
    """A system, or one of its arguments, is unknown or out of range."""


class DataError(FlowError):
    """A table or an array cannot be used."""


class FileError(FlowError):
    """A file is missing, truncated, corrupted, of another kind, or cannot be written."""


class TrainingError(FlowError):
    """Training cannot continue: the loss or the gradient is not finite, or a checkpoint does not fit."""


def brief(value: object, most: int = 100) -> str:
    """Return the repr of a value, cut to at most `most` characters, because values from files can be of any length."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # Python does not print whole numbers of thousands of digits, nor deeply nested lists.
        text = f"a {type(value).__name__}"
    return shortened(text, most)


def shortened(text: str, most: int = 2000) -> str:
    """Return a message cut to at most `most` characters, because names and values from files can be of any length."""
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def suggestion(name: str, known: Collection[str], otherwise: str) -> str:
    """Return the end of an error about an unknown name: the nearest known name, or `otherwise` and the known names."""
    nearest = difflib.get_close_matches(name[:LONGEST_NAME], known, 1)
    if nearest:
        return f"did you mean {nearest[0]!r}?"
    names = list(known)[:MOST_NAMES]
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    return f"{otherwise} {', '.join(names)}{more}"


def listed(names: Collection[str], most: int = 8) -> str:
    """Return quoted names with commas; of many names, only the first few."""
    shown = [brief(name) for name in list(names)[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
