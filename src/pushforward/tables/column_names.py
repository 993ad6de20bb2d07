"""Names of columns: a check that they are all different, and a way to make them different."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..errors import DataError, listed


def require_distinct(names: Collection[str]) -> None:
    """Refuse names that occur more than once.

    Raises:
        DataError: Names are repeated; the message lists them.
    """
    seen: set[str] = set()
    repeated = {name: None for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
    if repeated:
        raise DataError(f"expected different column names, got {listed(repeated)} more than once")


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return names that are all different; repeated ones get numbers, as in a, a_2, a_3."""
    taken, result = set(names), []
    seen: set[str] = set()
    for name in names:
        new, number = name, 2
        while new in seen or (new != name and new in taken):
            new, number = f"{name}_{number}", number + 1
        seen.add(new)
        result.append(new)
    return result
