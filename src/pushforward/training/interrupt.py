"""Handlers of Ctrl-C and SIGTERM: the current step is finished first; a second signal interrupts at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from ..signals import raise_terminated

GRACE = 25.0
"""Seconds from SIGTERM to the final message; torchrun sends SIGKILL after 30."""


class Interrupt:
    """Handler of SIGINT and SIGTERM that only sets `requested` while entered; an application's own handlers stay in place.

    Args:
        patient: Whether every later SIGINT only sets `requested` too, because a process that stops alone would block the
            others; SIGTERM is then left to `FinalMessage`.

    Attributes:
        requested: Whether a signal came.
        signal: Number of the signal that came; None for none.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.requested, self.patient = False, patient
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        """Replace the default handlers, in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT,) if self.patient else (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before in (signal.default_int_handler, signal.SIG_DFL, raise_terminated):
                    signal.signal(number, self._handle)
                    self._before[number] = before
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the handlers."""
        self._give_back()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested, self.signal = True, number
        if not self.patient:
            self._give_back()

    def _give_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())


class FinalMessage:
    """Handler of SIGTERM that sets `requested` while entered, and ends the process with a message after `GRACE` seconds.

    A main thread that waits inside torch for a process that has ended never returns to Python's signal handlers. So a second
    thread waits for the signal number, which Python writes to a pipe at once, and writes the message instead.

    Args:
        sentence: Function that returns the message for stderr; nothing is written if it is empty.
    """

    def __init__(self, sentence: Callable[[], str]) -> None:
        self.sentence, self.requested = sentence, False
        self._after: signal.Handlers | None = None
        self._over = threading.Event()

    def __enter__(self) -> FinalMessage:
        """Replace the default handler, in the main thread only."""
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
        """Restore the handler, unless the signal is to be ignored from now on."""
        self._over.set()
        if self._after is not None:
            signal.signal(signal.SIGTERM, self._after)
            signal.set_wakeup_fd(self._before)
            os.close(self._write)
            self._after = None

    def ignore_more(self) -> None:
        """Ignore SIGTERM from now on."""
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
