"""Paths that commands write to, looked at before any work is done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..data.formats import SUFFIXES
from ..errors import FileError
from .problems import UsageError


def require_writable(path: str | None, option: str, inputs: Sequence[str | None] = ()) -> None:
    """Refuse an output path that cannot be written, or that is one of the inputs. Nothing is left behind.

    Raises:
        FileError: it cannot be written.
        UsageError: it is an input.
    """
    if path is None or path == "-":
        return
    target = Path(os.path.realpath(path))
    for given in inputs:
        if given and os.path.exists(given) and os.path.realpath(given) == str(target):
            raise UsageError(f"{option} {path} is an input of this command; give another file name")
    if not target.name or (target.exists() and not target.is_file()):
        raise FileError(f"{path} cannot be written: it is a directory or device; give a file name")
    if not target.parent.is_dir():
        raise FileError(f"{path} cannot be written: there is no directory {os.path.dirname(path)}; create it first")
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".pushforward-"):
            pass
    except OSError as error:
        raise FileError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None


def require_table_suffix(path: str, option: str) -> None:
    """Refuse a table's path whose suffix says no known type; - is CSV.

    Raises:
        UsageError: naming the known types.
    """
    if path != "-" and Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"expected {option} to be - or a file of type {', '.join(SUFFIXES)}, got {path}")
