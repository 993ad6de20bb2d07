"""What can go wrong on a command line, beside what the library itself raises."""

from __future__ import annotations

import signal

from ..errors import FlowError


class UsageError(FlowError):
    """The options do not make sense, alone or together."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM, after something was saved.

    Args:
        message: Sentence about what was saved, and where.
        number: Number of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
