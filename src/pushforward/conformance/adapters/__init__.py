"""One module for each library; importing it imports the library, so that is done only by `load`."""

from __future__ import annotations

import importlib

from ..adapter import Library

NAMES = ("pushforward", "zuko", "nflows", "normflows", "freia", "pyro", "torchflows")
"""Modules of this package, in the order of the report."""


def load(name: str) -> Library:
    """A library with its cases.

    Args:
        name: one of `NAMES`.

    Raises:
        ImportError: the library is not installed, or cannot be imported.
    """
    library: Library = importlib.import_module(f".{name}", __name__).LIBRARY
    return library
