"""What can go wrong on a command line, beside what the library itself raises."""

from __future__ import annotations

from ..errors import FlowError


class UsageError(FlowError):
    """The options do not make sense, alone or together."""


class Interrupted(Exception):
    """Ctrl-C, after something was saved; the message says what and where."""
