"""What a check returns, the table of all checks, and running one."""

from __future__ import annotations

import contextlib
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from .adapter import Case

Status = Literal["pass", "fail", "n.a.", "error"]


@dataclass(frozen=True)
class Result:
    """The outcome of one check on one case.

    Args:
        status: "pass"; "fail", a number beyond its tolerance; "error", an exception; "n.a.", nothing to say.
        measured: what was measured.
        tolerance: finite; the check passes if measured <= tolerance.
        reason: one line.
    """

    status: Status
    measured: float | None = None
    tolerance: float | None = None
    reason: str = ""

    @property
    def symbol(self) -> str:
        """✓, ✗ or –."""
        return {"pass": "✓", "n.a.": "–"}.get(self.status, "✗")

    def __str__(self) -> str:
        numbers = "" if self.measured is None else f"{self.measured:.3g} (tolerance {self.tolerance:g})"
        return " ".join(part for part in (self.status, numbers, self.reason) if part)


class NotApplicable(Exception):
    """The check says nothing about this case; the message says why."""


Function = Callable[[Case], Result]


@dataclass(frozen=True)
class Check:
    """A registered check: its function, and its docstring as the one sentence that the report shows."""

    name: str
    function: Function
    slow: bool

    @property
    def sentence(self) -> str:
        """What it demands."""
        return " ".join((self.function.__doc__ or "").split())


CHECKS: dict[str, Check] = {}
"""Every check by name, in the order of the report's columns."""


def check(name: str, *, slow: bool = False) -> Callable[[Function], Function]:
    """Register a function of a case as a check; `slow` ones take more than a moment."""

    def register(function: Function) -> Function:
        CHECKS[name] = Check(name, function, slow)
        return function

    return register


def within(measured: float, tolerance: float, reason: str = "") -> Result:
    """Pass if measured <= tolerance; NaN fails."""
    return Result("pass" if measured <= tolerance else "fail", float(measured), tolerance, reason)


def run(case: Case, name: str, *, limit: float | None = None) -> Result:
    """Run one check on one case; seeded, and with exceptions turned into results.

    Args:
        case: the flow.
        name: of the check.
        limit: seconds after which it is stopped and counts as an error; only in a main thread.
    """
    if name in case.excused:
        return Result("n.a.", reason=case.excused[name])
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), _time_limit(limit):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            return CHECKS[name].function(case)
    except NotApplicable as reason:
        return Result("n.a.", reason=str(reason))
    except Exception as error:
        return Result("error", reason=one_line(error))


def one_line(error: BaseException, width: int = 160) -> str:
    """The class of an exception and the first line of its message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= width else text[: width - 3] + "..."


@contextlib.contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    if seconds is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
