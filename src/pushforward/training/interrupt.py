"""Ctrl-C as a request: the step at hand is finished first; a second one interrupts at once. And SIGTERM, among several."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

GRACE = 25.0
"""Seconds from SIGTERM to the last words; torchrun sends SIGKILL after 30."""


class Interrupt:
    """While entered, the first SIGINT only sets `requested`. Handlers of the application's own are left alone.

    Args:
        patient: whether all later ones are requests too, as a process that leaves others behind would block them.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.requested, self.patient = False, patient
        self._installed = False

    def __enter__(self) -> Interrupt:
        """Take over Python's default handler, in the main thread only."""
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the handler back."""
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._installed = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if not self.patient:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class LastWords:
    """While entered, SIGTERM sets `requested`; where nobody acts on it in time, one sentence is written and all ends.

    A main thread that waits inside of torch for a process that is gone never comes back to Python's signal handlers. A thread
    that waits for the signal's number, which Python writes to a pipe at once, speaks in its place.

    Args:
        sentence: what to write to stderr; nothing when it is empty.
    """

    def __init__(self, sentence: Callable[[], str]) -> None:
        self.sentence, self.requested = sentence, False
        self._after: signal.Handlers | None = None
        self._over = threading.Event()

    def __enter__(self) -> LastWords:
        """Take over the default handler, in the main thread only."""
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._after = signal.SIG_DFL
            self._read, self._write = os.pipe()
            os.set_blocking(self._write, False)
            self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            signal.signal(signal.SIGTERM, self._handle)
            threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the handler back, unless the signal is to be ignored from now on."""
        self._over.set()
        if self._after is not None:
            signal.signal(signal.SIGTERM, self._after)
            signal.set_wakeup_fd(self._before)
            os.close(self._write)
            self._after = None

    def ignore_more(self) -> None:
        """Let no SIGTERM end this process any more."""
        if self._after is not None:
            self._after = signal.SIG_IGN

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def _listen(self) -> None:
        while number := os.read(self._read, 1):
            if number[0] == signal.SIGTERM and not self._over.wait(GRACE):
                text = self.sentence()
                if text:
                    os.write(2, f"pushforward: error: {text}\n".encode())
                os._exit(1)
        os.close(self._read)
