"""Every error this library raises on bad input. Each message says what was expected, what came, and what to do."""

import difflib
from collections.abc import Collection

LONGEST_NAME = 200
"""Characters of an unknown name that are compared with known ones."""


class FlowError(ValueError):
    """Base of every error this library raises on bad input."""


class ShapeError(FlowError):
    """An event, batch or space does not fit."""


class ContextError(FlowError):
    """Context is missing, unexpected, or of the wrong shape."""


class DomainError(FlowError):
    """A value lies outside the support, or is not finite."""


class InversionError(FlowError):
    """A numeric inverse did not converge."""


class SolverError(FlowError):
    """A differential equation could not be solved."""


class SpecError(FlowError):
    """A system, or one of its arguments, is unknown or out of range."""


class DataError(FlowError):
    """A table or an array cannot be used as it is."""


class FileError(FlowError):
    """A file is missing, truncated, corrupted, foreign, or cannot be written."""


class TrainingError(FlowError):
    """Training cannot go on: the loss or the gradient is not finite, or a checkpoint does not fit."""


def brief(value: object, most: int = 100) -> str:
    """Return the value as Python writes it, cut to so many characters: values from files can be of any length."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # Whole numbers of thousands of digits, and lists in lists.
        text = f"a {type(value).__name__}"
    return shortened(text, most)


def shortened(text: str, most: int = 2000) -> str:
    """Return a message cut to so many characters: names and values from files can be of any length."""
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def suggestion(name: str, known: Collection[str], otherwise: str) -> str:
    """Return the end of an error about an unknown name: the known one that is nearest, or `otherwise` and all of them."""
    nearest = difflib.get_close_matches(name[:LONGEST_NAME], known, 1)
    return f"did you mean {nearest[0]!r}?" if nearest else f"{otherwise} {', '.join(known)}"


def listed(names: Collection[str], most: int = 8) -> str:
    """Quoted names with commas, the first few of many."""
    shown = [brief(name) for name in list(names)[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
