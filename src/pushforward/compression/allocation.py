"""Limits of an archive: how much memory a reader allocates before the file has proved that it needs it."""

from __future__ import annotations

import math
from collections.abc import Sequence

SYMBOLS = 1 << 17
"""Default number of symbols in a block: enough for many lanes of the coder, few enough for random access."""
MOST_SYMBOLS = 1 << 20
"""Number of symbols in a block that is always accepted."""
MOST_ROWS = 4096
"""Number of events in a block that is always accepted, if there are at most `MOST_SYMBOLS` symbols."""
PER_BYTE = 8
"""Number of symbols per byte above which a block larger than these limits is rejected as forged."""
MOST_DIMENSIONS = 64
"""Largest number of dimensions of an array, the limit of NumPy."""
MOST_TEXT = 1 << 24
"""Largest number of bytes of a header or manifest after inflation."""
LARGEST_ITEM = 1 << 40
"""Largest number of entries in an item; smaller numbers are checked against the blocks of the file."""
INFLATION = 1032
"""Largest ratio of inflated to deflated bytes that deflate allows."""


def rows_for(size: int) -> int:
    """Return the default number of events in a block, for events of `size` entries."""
    return max(1, min(MOST_ROWS, SYMBOLS // max(1, size)))


def most_rows(size: int) -> int:
    """Return the largest number of events in a block that a writer may choose, for events of `size` entries."""
    return max(1, min(MOST_ROWS, MOST_SYMBOLS // max(1, size)))


def accepted_rows(size: int, blocks: Sequence[Sequence[int]]) -> int:
    """Return the largest number of events in a block that a reader accepts.

    Older archives may have blocks with more than `most_rows` events. They are accepted if a block is long enough to
    contain them.

    Args:
        size: Number of entries in an event.
        blocks: `[place, length, events, first event]` of every block.
    """
    held = (events for _, length, events, _ in blocks if events * size <= PER_BYTE * length)
    return max(most_rows(size), max(held, default=0))


def volume(shape: Sequence[int]) -> int:
    """Return the product of the nonzero sizes of a shape, a bound on the size of padded arrays."""
    return math.prod(max(n, 1) for n in shape)
