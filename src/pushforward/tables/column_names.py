"""Names of columns: a check that they differ."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import DataError, listed


def require_distinct(names: Collection[str]) -> None:
    """Refuse repeated names.

    Raises:
        DataError: naming the repeated ones.
    """
    seen: set[str] = set()
    repeated = {name: None for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]
    if repeated:
        raise DataError(f"expected different column names, got {listed(repeated)} more than once")
