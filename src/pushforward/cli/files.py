"""Paths that commands write to, looked at before any work is done."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import FileError
from ..tables.formats import SUFFIXES
from .options import OutputOptions
from .problems import UsageError

MODEL = ".flow"
"""Suffix of a model file."""


def with_model_file(source: str, output: OutputOptions) -> OutputOptions:
    """Return the options with a model file: without --out, the source's name with the suffix .flow, in the current folder.

    A file of that name is never replaced, unless the run goes on from its own checkpoint.

    Raises:
        UsageError: the source has no name, or there is such a file.
    """
    if output.out is not None:
        return output
    name = Path(os.path.realpath(source) if Path(source).name in ("", "..") else source)
    if source == "-" or not name.name:
        raise UsageError(f"expected --out FILE for the model, as {source} has no name to make one from")
    found = f"{name.name if os.path.isdir(source) else name.stem}{MODEL}"
    if os.path.lexists(found) and output.resume != checkpoint_of(found):
        raise UsageError(
            f"{found} exists and is not replaced; give the model another file with --out FILE, or --out {found} to replace it"
        )
    return dataclasses.replace(output, out=found)


def checkpoint_of(out: str) -> str:
    """Return the checkpoint that a run for a model file has by default."""
    return f"{out}.checkpoint"


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
