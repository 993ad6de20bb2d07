"""Checks of questions from the page: known entries, and whole numbers within limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import DataError, brief, listed

Body = Mapping[str, Any]
"""A question: plain values from JSON."""


def require_known(body: Body, *names: str) -> None:
    """Refuse entries of a question that mean nothing.

    Raises:
        DataError: There is such an entry.
    """
    unknown = [name for name in body if name not in names]
    if unknown:
        wanted = f"only {listed(names)}" if names else "an empty object"
        raise DataError(f"expected {wanted} in the question, got also {listed(unknown)}")


def whole_number(body: Body, name: str, default: int, low: int, high: int) -> int:
    """Return an entry that is a whole number within limits.

    Raises:
        DataError: It is none.
    """
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DataError(f"expected {name} to be a whole number from {low:,} to {high:,}, got {brief(value)}")
    return value


def real_number(body: Body, name: str, default: float, low: float, high: float) -> float:
    """Return an entry that is a number within limits.

    Raises:
        DataError: It is none.
    """
    value = body.get(name, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise DataError(f"expected {name} to be a number from {low:g} to {high:g}, got {brief(value)}")
    return float(value)


def estimate_text(mean: float | None, error: float | None, *, sign: bool = False) -> str:
    """Return a mean with its standard error, with as many decimals as the error supports."""
    if mean is None or not math.isfinite(mean):
        return "-" if mean is None or math.isnan(mean) else str(mean)
    if error is None or not math.isfinite(error):
        return f"{mean:{'+' if sign else ''}.2f}"
    digits = 2 if error <= 0 else min(4, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:{'+' if sign else ''}.{digits}f} ± {error:.{digits}f}"
