"""Limits of an archive: how much a reader allocates before the file has shown that it holds that much."""

from __future__ import annotations

import math
from collections.abc import Sequence

SYMBOLS = 1 << 17
"""Symbols in a block by default: enough for many lanes of the coder, few enough for random access."""
MOST_SYMBOLS = 1 << 20
"""Symbols in a block that are always accepted."""
MOST_ROWS = 4096
"""Events in a block that are always accepted, if their symbols are not more than `MOST_SYMBOLS`."""
PER_BYTE = 8
"""Symbols in one byte of a block beyond which a larger block is taken for a forged one."""
MOST_DIMENSIONS = 64
"""Dimensions of an array; the limit of NumPy."""
MOST_TEXT = 1 << 24
"""Bytes of a header or manifest once inflated."""
LARGEST_ITEM = 1 << 40
"""Numbers in an item; less than that is checked against the blocks of the file."""
INFLATION = 1032
"""Largest ratio of inflated to deflated bytes."""


def rows_for(size: int) -> int:
    """Return the default number of events in a block, for events of `size` numbers."""
    return max(1, min(MOST_ROWS, SYMBOLS // max(1, size)))


def most_rows(size: int) -> int:
    """Return the largest number of events in a block that a writer may choose, for events of `size` numbers."""
    return max(1, min(MOST_ROWS, MOST_SYMBOLS // max(1, size)))


def accepted_rows(size: int, blocks: Sequence[Sequence[int]]) -> int:
    """Return the largest number of events in a block that a reader accepts.

    Older archives may have blocks with more than `most_rows` events. They are accepted where a block is long enough to hold
    them.

    Args:
        size: Numbers in an event.
        blocks: `[place, length, events, first event]` of every block.
    """
    held = (events for _, length, events, _ in blocks if events * size <= PER_BYTE * length)
    return max(most_rows(size), max(held, default=0))


def volume(shape: Sequence[int]) -> int:
    """Return the product of the sizes that are not zero, which bounds what arrays of a shape are padded to."""
    return math.prod(max(n, 1) for n in shape)
