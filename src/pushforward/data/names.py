"""Names of columns: lists of them in messages, and that they differ."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import DataError, brief


def listed(names: Collection[str], most: int = 8) -> str:
    """Quoted names with commas, the first few of many."""
    shown = [brief(name) for name in list(names)[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def require_distinct(names: Collection[str]) -> None:
    """Refuse repeated names.

    Raises:
        DataError: naming the repeated ones.
    """
    seen: set[str] = set()
    repeated = {name: None for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
    if repeated:
        raise DataError(f"expected different column names, got {listed(repeated)} more than once")
