"""Text for standard output and standard error: control characters are shown as escapes instead of being executed.

Names of columns, labels and files come from other people. A terminal executes escape sequences in them, and marks of writing
direction reorder the text on the screen. Everything that is printed goes through this module, which replaces such characters
by escapes and handles streams that are closed or full.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

from .errors import FileError

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)
_BREAKS = re.compile("[\t\n]")
_BEYOND_ASCII = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]")
OUTPUT = "standard output"
_QUIET = threading.Lock()


def shown(text: str) -> str:
    r"""Return a text with escapes such as \x1b for control characters, except line breaks and tabs."""
    return _CONTROL.sub(_escape, text)


def shown_in_line(text: str) -> str:
    r"""Return a text for one line or one cell, with escapes for line breaks and tabs, too."""
    return _BREAKS.sub(_escape, shown(text))


def json_shown(text: str) -> str:
    r"""Return JSON with escapes, such as \u202e, for the control characters that JSON allows; its meaning is the same."""
    return _BEYOND_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_error(text: str) -> None:
    """Write a line to standard error; nothing happens if it is closed or full, because a message must not end the work."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        print(shown(text), file=sys.stderr, flush=True)


def write_output(text: str) -> None:
    """Write a line for a person to standard output; nothing happens if it is closed.

    Raises:
        FileError: Standard output cannot be written, for example because the disk is full.
    """
    if sys.stdout is not None:
        _write(sys.stdout, shown(text) + "\n")


def write_data(text: str, *, is_json: bool = False) -> None:
    """Write data to standard output; they are changed only if a terminal would execute their control characters.

    Args:
        text: CSV or JSON text, with its last line break.
        is_json: Whether the text is JSON, in which escapes do not change the meaning.

    Raises:
        FileError: Standard output is closed, or cannot be written.
    """
    if sys.stdout is None:
        raise FileError(f"{OUTPUT} cannot be written: it is closed; leave it open, or redirect it to a file")
    if is_json:
        text = json_shown(text)
    elif sys.stdout.isatty():
        text = shown(text)
    _write(sys.stdout, text)


def flush_output() -> None:
    """Write the rest of the buffer of standard output.

    Raises:
        FileError: Standard output cannot be written.
    """
    if sys.stdout is not None:
        _write(sys.stdout, "")


def flush_error() -> None:
    """Write the rest of the buffer of standard error, or drop it; if it failed, Python would end with code 120."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        abandon(sys.stderr)


def abandon(stream: TextIO | None) -> None:
    """Discard the buffer of a stream that failed, which Python would try to write again at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        _send_to_nowhere(stream.fileno())  # type: ignore[union-attr]


@contextlib.contextmanager
def quiet_standard_error() -> Iterator[None]:
    """Discard everything written to standard error within the block, even by C libraries, which use its file descriptor.

    Only one thread at a time can be within: two that overlap could restore each other's stream.
    """
    with _QUIET:
        flush_error()
        try:
            kept = os.dup(2)
        except OSError:  # standard error is closed, so nothing has to be discarded
            yield
            return
        try:
            _send_to_nowhere(2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _send_to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def occupy_standard_streams() -> None:
    """Open the null device for each closed standard stream, so that no other file gets its file descriptor."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                # The operating system takes the lowest free number, which is this one.
                os.open(os.devnull, os.O_RDWR)


def _write(stream: TextIO, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        if isinstance(getattr(stream, "buffer", None), io.RawIOBase):
            _write_unbuffered(stream, text.replace("\n", os.linesep).encode(encoding))
        else:
            stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon(stream)
        raise FileError(f"{OUTPUT} cannot be written: {(error.strerror or str(error)).lower()}") from None


def _write_unbuffered(stream: TextIO, data: bytes) -> None:
    """Write all of the data if Python has no buffer (PYTHONUNBUFFERED, python -u).

    One write takes only a part of the data if a disk becomes full or the reader of a pipe ends. Python then drops the rest
    without an error; a second write of the rest raises it.
    """
    stream.flush()
    rest = memoryview(data)
    while rest:
        written = stream.buffer.write(rest)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[written:]


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
