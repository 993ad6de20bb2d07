"""Command line `pushforward`: `fit`, `score`, `sample`, `report` and more commands, see `pushforward --help`.

The exit code is 0 after success, 1 if data, a model or a file cannot be used, 2 if the command was not understood, 130 after
Ctrl-C, and 143 after SIGTERM.
"""

from .main import main

__all__ = ["main"]
