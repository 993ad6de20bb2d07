"""One file for each library; nothing of a library is imported before it is used."""

from __future__ import annotations

import importlib
import importlib.util
from importlib import metadata

from ..results import NOT_INSTALLED
from .base import Absent, Library, Model

OWN = "pushforward"
PEERS = ("zuko", "nflows", "normflows", "freia", "torchflows", "flowjax")
NAMES = (OWN, *PEERS)
"""As on the command line and in the stored results."""


def load_entry(name: str) -> Library:
    """A library's entry, whether or not it is installed."""
    library: Library = importlib.import_module(f".{name}", __package__).LIBRARY
    return library


def load(name: str) -> Library:
    """A library by its name.

    Raises:
        Absent: it is not installed.
    """
    library = load_entry(name)
    if importlib.util.find_spec(library.package) is None:
        raise Absent(NOT_INSTALLED)
    return library


def version(name: str) -> str:
    """Of what is installed; empty where there is none."""
    try:
        return metadata.version(load_entry(name).distribution)
    except metadata.PackageNotFoundError:
        return ""


__all__ = ["NAMES", "OWN", "PEERS", "Absent", "Library", "Model", "load", "load_entry", "version"]
