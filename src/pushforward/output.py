"""Files that appear whole or not at all, and that one run at a time writes.

A file is written under a random name beside its target and then renamed. The writer holds a lock on it, so that the next
writer of the same target can tell the leftover of a killed process, which nobody holds, from a file that is being written.
A run that writes one target again and again holds a lock file `.NAME.lock` as long as it lasts. The operating system frees
locks when a process ends, however it ends, so that none is ever left behind.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .errors import FileError, SpecError

if sys.platform != "win32":
    import fcntl

LONGEST = 200
"""Bytes of a file name up to which it is a part of the names beside it; most file systems allow 255."""
_TOKEN = 8
"""Bytes of a temporary file's random part."""


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file beside `path` to write to, and move it there at the end.

    On any error `path` stays as it was. What killed processes left of earlier attempts is removed.

    Raises:
        FileError: The path cannot be written.
    """
    target = Path(os.path.realpath(path))
    with _named(path, target):
        if target.exists() and not target.is_file():
            raise FileError(f"{path} cannot be written: it is a directory or device; give a file name")
        remove_leftovers(target)
        temporary, descriptor = _new_temporary(target)
    try:
        with _named(path, temporary):
            yield temporary
        with _named(path, target):
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            if sys.platform == "win32":
                # An open file cannot be renamed there.
                descriptor = _closed(descriptor)
            os.replace(temporary, target)
    finally:
        _closed(descriptor)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def only_writer(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within, no other run can enter this for the same path, in this process or in another one.

    Raises:
        FileError: Another run is writing the path, or nothing can be written beside it.
    """
    target = Path(os.path.realpath(path))
    place = _beside(target, "lock")
    with _named(path, place):
        descriptor = _locked(place)
    if descriptor is None:
        raise FileError(f"{path} is being written by another run; wait until that has ended, or give another file name")
    try:
        remove_leftovers(target)
        yield
    finally:
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)
        _closed(descriptor)


def remove_leftovers(target: Path) -> None:
    """Remove the temporary files for a target that no process is writing any more."""
    start = re.escape(_beside(target, "").name)
    pattern = re.compile(rf"{start}[0-9a-f]{{{2 * _TOKEN}}}\.tmp")
    with contextlib.suppress(OSError):
        for found in [entry.path for entry in os.scandir(target.parent) if pattern.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                descriptor = os.open(found, os.O_RDWR)
                try:
                    if _claim(descriptor):
                        os.unlink(found)
                finally:
                    os.close(descriptor)


def require_writable(path: str | None, option: str, inputs: Sequence[str | None] = ()) -> None:
    """Refuse an output path that cannot be written, or that is one of the inputs. Nothing is left behind.

    Args:
        path: Path of the output; None and "-" are never refused.
        option: Name of the option that gives the path, for the message.
        inputs: Paths of the inputs.

    Raises:
        FileError: It cannot be written.
        SpecError: It is an input.
    """
    if path is None or path == "-":
        return
    target = Path(os.path.realpath(path))
    for given in inputs:
        if given and os.path.exists(given) and os.path.realpath(given) == str(target):
            raise SpecError(f"{option} {path} is an input of this command; give another file name")
    if not target.name or (target.exists() and not target.is_file()):
        raise FileError(f"{path} cannot be written: it is a directory or device; give a file name")
    if not target.parent.is_dir():
        raise FileError(f"{path} cannot be written: there is no directory {os.path.dirname(path)}; create it first")
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".pushforward-"):
            pass
    except OSError as error:
        raise FileError(f"{path} cannot be written: {reason(error)}") from None


def reason(error: OSError) -> str:
    """Return the operating system's words for an error, for the end of a sentence."""
    text = error.strerror or str(error)
    # numpy reports a full disk by counts alone, and polars by a text with a number.
    if error.errno is None and re.search(r"requested and \d+ written", text):
        text = os.strerror(errno.ENOSPC)
    found = re.search(r"\(os error (\d+)\)", text)
    return (os.strerror(int(found[1])) if found else text).lower()


@contextlib.contextmanager
def _named(path: str | os.PathLike[str], own: Path) -> Iterator[None]:
    """Name `path` in errors of the operating system, except in those about other files than `own`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)).parent != own.parent:
            raise
        raise FileError(f"{path} cannot be written: {reason(error)}") from None


def _new_temporary(target: Path) -> tuple[Path, int]:
    """Create and lock a temporary file; again if another process took it for a leftover between the two."""
    while True:
        temporary = _beside(target, f"{secrets.token_hex(_TOKEN)}.tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _claim(descriptor) and _is_still(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)


def _locked(place: Path) -> int | None:
    """Open and lock a lock file; None where another process has it."""
    while True:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _claim(descriptor):
            os.close(descriptor)
            return None
        # Its holder may have removed it between the two, and another process may have made a new one.
        if _is_still(place, descriptor):
            return descriptor
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _claim(descriptor: int) -> bool:
    """Lock an open file; False where it is locked, True also on file systems that have no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _beside(target: Path, end: str) -> Path:
    """Return the hidden name beside a target that ends in a dot and `end`; long names are shortened to a part and a hash."""
    name = target.name
    if len(os.fsencode(name)) > LONGEST:
        name = f"{name[:40]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return target.with_name(f".{name}.{end}")


def _closed(descriptor: int) -> int:
    """Close a file unless that is done; -1, as nothing is open then."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1
