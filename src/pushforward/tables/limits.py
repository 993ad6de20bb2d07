"""Limits on the size of tables, because a small file can contain a table that does not fit into memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import DataError, FileError

COLUMNS = 20_000
GIGABYTES = 0.5
"""Unpacked size, in GB, that is allowed for every file."""
RATIO = 100
"""Number of bytes that a larger table may have in memory for each byte of its file, if no limit is given."""


@dataclass(frozen=True)
class Limits:
    """Largest size of a table.

    Args:
        columns: Largest number of columns.
        gigabytes: Largest size in memory in GB, with eight bytes for each number; by default half a gigabyte, or a hundred
            times the size of the file if that is more.
    """

    columns: int = COLUMNS
    gigabytes: float | None = None

    def require_columns(self, columns: int) -> None:
        """Refuse too many columns.

        Raises:
            DataError: There are too many columns; the message names the option that raises the limit.
        """
        if columns > self.columns:
            raise DataError(
                f"expected at most {self.columns:,} columns, got {columns:,}; if they are meant, raise the limit with "
                "--max-columns (max_columns in Python)"
            )

    def require_size(self, size: int, packed: int) -> None:
        """Refuse a table that takes too much memory.

        Args:
            size: Size of the table, in bytes.
            packed: Size of its file, in bytes.

        Raises:
            FileError: The table is too large; the message names the option that raises the limit.
        """
        given = self.gigabytes
        most = max(GIGABYTES * 1e9, RATIO * packed) if given is None else given * 1e9
        if size > most:
            raise FileError(
                f"expected a table of at most {most / 1e9:.3g} GB, got a file that unpacks to {_gigabytes(size)} GB; if that "
                "is meant, raise the limit with --max-gigabytes (max_gigabytes in Python)"
            )

    def require_array(self, shape: tuple[int, ...], itemsize: int, packed: int) -> None:
        """Refuse an array with too many columns, or too large, before it is read.

        Args:
            shape: Shape of the array, (N,) or (N, C).
            itemsize: Size of an entry, in bytes.
            packed: Size of its file, in bytes.

        Raises:
            DataError: There are too many columns.
            FileError: The array is too large.
        """
        if len(shape) == 2:
            self.require_columns(shape[1])
        self.require_size(math.prod(shape) * max(itemsize, 1), packed)


DEFAULT = Limits()


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.3g}" if size < 2**1000 else "countless"
