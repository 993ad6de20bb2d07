"""Checkpoints: the whole state of a run in one file with a checksum, replaced atomically and read without executing code."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
import zipfile
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..errors import FileError
from ..output import atomic_output, reason
from .checkpoint_checks import require_plain

logger = logging.getLogger("pushforward.training")

FORMAT = "pushforward training checkpoint"
VERSION = 3
MAGIC, DIGEST = b"PFCKPT3\n", hashlib.sha256().digest_size
"""A file consists of MAGIC, the SHA-256 hash of the rest, and the rest, which is the output of torch.save."""
UNSIGNED = b"PK"
"""First bytes of files of version 2, which are the plain output of torch.save, without a checksum."""
PARTS = frozenset({"weights", "optimiser", "average", "best", "position", "random", "config", "data"})


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a run's state to a file beside `path`, then move that file to `path`.

    Raises:
        FileError: The file cannot be written; a file that was at `path` before is still there.
    """
    content = {"format": FORMAT, "version": VERSION, **state}
    with atomic_output(path) as temporary, open(temporary, "wb") as file:
        file.write(MAGIC + bytes(DIGEST))
        signed = _Signing(file)
        try:
            # torch.save calls only `write` and `flush` of the object that it is given.
            torch.save(content, signed)  # type: ignore[arg-type]
        # torch.save turns a full disk into a RuntimeError.
        except RuntimeError as error:
            raise (signed.failure or FileError(f"{path} cannot be written: {error}")) from None
        file.seek(len(MAGIC))
        file.write(signed.total.digest())


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a run's state with `weights_only=True`, so that no code in the file is executed.

    Raises:
        FileError: The file is missing, truncated, changed in any bit, or not a checkpoint of this version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"expected a training checkpoint at {path}, got no such file")
    try:
        with open(path, "rb") as file:
            state, version = _read(file, path)
    except OSError as error:
        raise FileError(f"{path}, a training checkpoint, cannot be read: {reason(error)}") from None
    kind = state.get("format") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(kind, str) or kind != FORMAT:
        raise FileError(f"expected a training checkpoint, got another kind of file in {path}")
    found = state.get("version")
    if not isinstance(found, int) or found != version:
        raise FileError(f"expected a training checkpoint of version {version}, got {str(found)[:20]!r} in {path}")
    if not state.keys() >= PARTS:
        raise FileError(f"expected a complete training checkpoint, got one without some of its parts in {path}")
    require_plain(state, path)
    return state


def _read(file: BufferedReader, path: Path) -> tuple[Any, int]:
    """Return the content of a checkpoint, and the version that it must have: 2 for files without a checksum.

    Raises:
        FileError: The content differs from what was written.
    """
    broken = FileError(f"expected a training checkpoint, got a truncated or foreign file in {path}")
    start = file.read(len(MAGIC) + DIGEST)
    offset, version = len(start), VERSION
    if start.startswith(UNSIGNED):
        offset, version = 0, 2
    elif not start.startswith(MAGIC):
        raise broken
    elif hashlib.file_digest(file, "sha256").digest() != start[len(MAGIC) :]:
        raise FileError(
            f"expected a training checkpoint that matches its checksum, got a truncated or changed one in {path}"
        )
    content = BufferedReader(_Rest(file, offset))
    # Broken files raise half a dozen unrelated types of errors, some of them bare RuntimeErrors.
    try:
        with zipfile.ZipFile(content) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > os.fstat(file.fileno()).st_size:
            raise broken
        content.seek(0)
        return torch.load(content, map_location="cpu", weights_only=True), version
    except Exception:
        raise broken from None


class _Signing:
    """Writable file object that hashes everything written to it.

    It keeps the error of a full disk or an interruption, because torch.save raises another error in its place.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.total = file, hashlib.sha256()
        self.failure: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            count = self.file.write(data)
        except BaseException as error:
            self.failure = error
            raise
        self.total.update(data)
        return count

    def flush(self) -> None:
        self.file.flush()


class _Rest(io.RawIOBase):
    """Readable view of a file from an offset to its end."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self.file, self.offset = file, offset
        file.seek(offset)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset + (self.offset if whence == os.SEEK_SET else 0), whence) - self.offset

    def tell(self) -> int:
        return self.file.tell() - self.offset

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class CheckpointWriter:
    """Writer of a run's checkpoints, all to one path, with a clock that tells when the next one is due.

    Args:
        path: Path of the file.
        every: Seconds between two checkpoints within an epoch; None for no such checkpoints.
    """

    def __init__(self, path: Path, every: float | None) -> None:
        self.path, self.every = path, every
        self.saved = time.monotonic()

    def due(self) -> bool:
        """Return whether the time for the next checkpoint has come."""
        return self.every is not None and time.monotonic() - self.saved >= self.every

    def write(self, state: Mapping[str, Any]) -> bool:
        """Save a state and return True on success; a failure is logged, and the previous file stays in place."""
        try:
            save_checkpoint(self.path, state)
        except FileError as error:
            logger.warning("%s; the previous checkpoint is still there", error)
            return False
        return True
