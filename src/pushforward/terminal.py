"""Text for standard output and standard error: control characters are shown instead of obeyed.

Names of columns, labels and files come from other people. A terminal obeys escape sequences in them, and marks of writing
direction reorder what is read. Everything that is printed goes through this module, which replaces such characters by their
escapes, and which knows what to do with a stream that is closed or full.
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
    r"""Return a text whose control characters, line breaks and tabs apart, are escapes such as \x1b."""
    return _CONTROL.sub(_escape, text)


def shown_in_line(text: str) -> str:
    r"""Return a text for one line or one cell: line breaks and tabs are escapes, too."""
    return _BREAKS.sub(_escape, shown(text))


def json_shown(text: str) -> str:
    r"""Return JSON with escapes, such as \u202e, for the control characters that JSON itself allows; it means the same."""
    return _BEYOND_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_error(text: str) -> None:
    """Write a line to standard error. Nothing happens where it is closed or full: a message must not end the work."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        print(shown(text), file=sys.stderr, flush=True)


def write_output(text: str) -> None:
    """Write a line for a person to standard output; nothing happens where it is closed.

    Raises:
        FileError: Standard output cannot be written, as on a full disk.
    """
    if sys.stdout is not None:
        _write(sys.stdout, shown(text) + "\n")


def write_data(text: str, *, is_json: bool = False) -> None:
    """Write data to standard output: unchanged, unless a terminal would obey its control characters.

    Args:
        text: CSV or JSON, with its last line break.
        is_json: Whether the escapes of JSON can be used, which mean the same.

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
    """Write what is still in the buffer of standard output.

    Raises:
        FileError: It cannot be written.
    """
    if sys.stdout is not None:
        _write(sys.stdout, "")


def flush_error() -> None:
    """Write what is still in the buffer of standard error, or drop it: Python ends with code 120 where that fails."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        abandon(sys.stderr)


def abandon(stream: TextIO | None) -> None:
    """Send what is left in the buffer of a stream that failed to nowhere; Python would try to write it again at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        _send_to_nowhere(stream.fileno())  # type: ignore[union-attr]


@contextlib.contextmanager
def quiet_standard_error() -> Iterator[None]:
    """Within, nothing is written to standard error, not even by libraries in C, which write to its number and ask nobody.

    One thread at a time is within: two that overlap could restore the stream of each other.
    """
    with _QUIET:
        flush_error()
        try:
            kept = os.dup(2)
        except OSError:  # it is closed, and nobody reads it
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
    """Open the null device in place of closed standard streams, so that no file of ours gets the number of one of them."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                # The lowest free number is taken, which is this one.
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
    """Write all of the data where Python has no buffer (PYTHONUNBUFFERED, python -u).

    One write takes a part only if a disk becomes full or the reader of a pipe goes. Python then drops the rest without an
    error; the write of that rest raises it.
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
