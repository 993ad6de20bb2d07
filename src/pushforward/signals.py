"""SIGTERM as an exception, in the same way as Ctrl-C."""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised in the main thread like the exception of Ctrl-C."""


def raise_terminated(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM by raising an exception, so that files are closed and locks are released.

    Raises:
        Terminated: Always.
    """
    raise Terminated


def signal_of(error: KeyboardInterrupt) -> int:
    """Return the number of the signal that raised an exception."""
    return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT


class Interrupted(Exception):
    """Ctrl-C or SIGTERM, received while results could be saved.

    Args:
        message: Sentence about what was saved, and where.
        number: Number of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
