"""Results of checks, the table of all checks, and the function that runs one."""

from __future__ import annotations

import contextlib
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from pushforward.laws.violations import NotApplicable

from ..peers.case import Case
from ..speed.timing import one_line

Status = Literal["pass", "fail", "n.a.", "error"]


@dataclass(frozen=True)
class Result:
    """Outcome of one check on one case.

    Args:
        status: "pass"; "fail", a number beyond its tolerance; "error", an exception; "n.a.", the check does not apply.
        measured: Measured number.
        tolerance: Largest number that passes; finite.
        reason: Explanation in one line.
    """

    status: Status
    measured: float | None = None
    tolerance: float | None = None
    reason: str = ""

    @property
    def symbol(self) -> str:
        """Mark in the table: ✓, ✗ or –."""
        return {"pass": "✓", "n.a.": "–"}.get(self.status, "✗")

    def __str__(self) -> str:
        numbers = "" if self.measured is None else f"{self.measured:.3g} (tolerance {self.tolerance:g})"
        return " ".join(part for part in (self.status, numbers, self.reason) if part)


Function = Callable[[Case], Result]


@dataclass(frozen=True)
class Check:
    """A registered check. The docstring of its function is the sentence that the report shows."""

    name: str
    function: Function
    slow: bool

    @property
    def sentence(self) -> str:
        """Sentence for the report."""
        return " ".join((self.function.__doc__ or "").split())


CHECKS: dict[str, Check] = {}
"""Every check by name, in the order of the report's columns."""


def check(name: str, *, slow: bool = False) -> Callable[[Function], Function]:
    """Register a function of a case as a check; `slow` marks those that take more than a second."""

    def register(function: Function) -> Function:
        CHECKS[name] = Check(name, function, slow)
        return function

    return register


def within(measured: float, tolerance: float, reason: str = "") -> Result:
    """Return a pass if measured <= tolerance; NaN fails."""
    return Result("pass" if measured <= tolerance else "fail", float(measured), tolerance, reason)


def run(case: Case, name: str, *, limit: float | None = None) -> Result:
    """Run one check on one case, with a fixed seed; exceptions become results.

    Args:
        case: The flow.
        name: Name of the check.
        limit: Seconds after which the check is stopped and counts as an error; only in a main thread.
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
