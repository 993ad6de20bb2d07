"""Files that are written atomically, and by only one run at a time.

A file is written under a random name beside its target and then renamed. The writer holds a lock on it. So the next writer of
the same target can distinguish a file that is being written from one that a killed process left, on which there is no lock.
A run that writes the same target many times holds a lock file `.NAME.lock` until it ends. The operating system releases
locks whenever a process ends, so no lock is left behind.
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
"""Length in bytes up to which a file name is contained in the names beside it; most file systems allow 255."""
_TOKEN = 8
"""Length in bytes of the random part of a temporary file's name."""


@contextlib.contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file beside `path` to write to, and rename it to `path` at the end of the block.

    On any error `path` is not changed. Temporary files that killed processes left are removed.

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
    """Prevent all other runs, in this process or another one, from entering this block for the same path.

    Raises:
        FileError: Another run is writing to the path, or nothing can be written beside it.
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
    """Remove the temporary files of a target that no process is writing any more."""
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
    """Refuse an output path that cannot be written, or that is one of the inputs; no file is created.

    Args:
        path: Path of the output; None and "-" are never refused.
        option: Name of the command-line option for the path, for the message.
        inputs: Paths of the inputs.

    Raises:
        FileError: The path cannot be written.
        SpecError: The path is an input.
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
    """Return the operating system's text for an error, in lower case for the end of a sentence."""
    text = error.strerror or str(error)
    # numpy reports a full disk only by counts of items, and polars by a text with an error number.
    if error.errno is None and re.search(r"requested and \d+ written", text):
        text = os.strerror(errno.ENOSPC)
    found = re.search(r"\(os error (\d+)\)", text)
    return (os.strerror(int(found[1])) if found else text).lower()


@contextlib.contextmanager
def _named(path: str | os.PathLike[str], own: Path) -> Iterator[None]:
    """Raise errors of the operating system with the name `path`, except those about other folders than that of `own`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)).parent != own.parent:
            raise
        raise FileError(f"{path} cannot be written: {reason(error)}") from None


def _new_temporary(target: Path) -> tuple[Path, int]:
    """Create and lock a temporary file; try again if another process removed it as a leftover before it was locked."""
    while True:
        temporary = _beside(target, f"{secrets.token_hex(_TOKEN)}.tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _claim(descriptor) and _is_still(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)


def _locked(place: Path) -> int | None:
    """Open and lock a lock file; return None if another process has locked it."""
    while True:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _claim(descriptor):
            os.close(descriptor)
            return None
        # Between opening and locking, its holder may have removed the file, and another process may have made a new one.
        if _is_still(place, descriptor):
            return descriptor
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _claim(descriptor: int) -> bool:
    """Lock an open file; return False if it is locked already, and True on file systems that have no locks."""
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
    """Return a hidden name beside a target that ends in a dot and `end`; of a long name only a part and a hash are used."""
    name = target.name
    if len(os.fsencode(name)) > LONGEST:
        name = f"{name[:40]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return target.with_name(f".{name}.{end}")


def _closed(descriptor: int) -> int:
    """Close a file if it is open, and return -1, the value for no open file."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1
