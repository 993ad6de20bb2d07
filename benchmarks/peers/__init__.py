"""One adapter for each library, for the benchmark of speed and for the checks of correctness.

A library is imported when one of its flows is built, not before.
"""

from __future__ import annotations

import importlib
import importlib.util
from importlib import metadata

from .library import NOT_INSTALLED, Absent, Library, Model

OWN = "pushforward"
PEERS = ("zuko", "nflows", "normflows", "freia", "torchflows", "flowjax")
NAMES = (OWN, *PEERS)
"""Libraries whose speed is compared, as on the command line and in the stored results."""
CHECKED = (OWN, "zuko", "nflows", "normflows", "freia", "pyro", "torchflows")
"""Libraries whose flows are checked, in the order of the table."""


def load_entry(name: str) -> Library:
    """Return a library's entry, whether or not it is installed."""
    library: Library = importlib.import_module(f".{name}", __package__).LIBRARY
    return library


def load(name: str) -> Library:
    """Return a library by its name.

    Raises:
        Absent: The library is not installed.
    """
    library = load_entry(name)
    if importlib.util.find_spec(library.package) is None:
        raise Absent(NOT_INSTALLED)
    return library


def version(name: str) -> str:
    """Return the installed version; empty if there is none."""
    try:
        return metadata.version(load_entry(name).distribution)
    except metadata.PackageNotFoundError:
        return ""


__all__ = [
    "CHECKED",
    "NAMES",
    "NOT_INSTALLED",
    "OWN",
    "PEERS",
    "Absent",
    "Library",
    "Model",
    "load",
    "load_entry",
    "version",
]
