"""The command line: `pushforward fit | score | sample | interpolate | edit | resample | report | inspect | systems | demo`.

Exit codes: 0; 1 when data, a model or a file cannot be used; 2 when the command was not understood; 130 after Ctrl-C,
143 after SIGTERM.
"""

from .main import main

__all__ = ["main"]
