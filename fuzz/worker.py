"""The process that tries inputs, one after another, with limits on memory and time; its results go to a pipe, a line each."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import signal
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

MEMORY = 3 * 2**30
"""Bytes that a worker may allocate beside what it has at its start; the peak that is resident is reported."""
SECONDS = 20
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Hang(BaseException):
    """An input took longer than `SECONDS`."""


def work(seed: int, numbers: range, seeds: Path, folder: Path, results: Any) -> None:
    """Try inputs by number and write {number, kind, outcome, detail, seconds, peak} for each."""
    from . import cases

    folder.mkdir(parents=True, exist_ok=True)
    noise = open(folder.parent / f"{folder.name}.noise", "w+b")  # noqa: SIM115
    os.dup2(noise.fileno(), 2)
    _limit_memory()
    signal.signal(signal.SIGALRM, _hang)
    os.chdir(folder)
    for number in numbers:
        kind = cases.ORDER[number % len(cases.ORDER)]
        _tell(results, {"number": number, "kind": kind})
        cases.clean(folder)
        act = cases.KINDS[kind](Random(f"{seed}-{number}"), seeds, folder)
        noise.seek(0)
        noise.truncate()
        began = time.monotonic()
        outcome, detail = _tried(act, cases.is_sentence)
        seconds = time.monotonic() - began
        noise.seek(0)
        said = noise.read(2000).decode(errors="replace")
        if outcome != "other" and said.strip():
            outcome, detail = "other", f"printed past the command: {said[:300]}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        record = {
            "number": number,
            "kind": kind,
            "outcome": outcome,
            "detail": detail,
            "seconds": seconds,
            "peak": peak,
        }
        _tell(results, record)


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, used + MEMORY))


def _tried(act: Any, is_sentence: Any) -> tuple[str, str]:
    """The outcome of one input: "sentence", "well" or "other", with what was said."""
    out, err = io.StringIO(), io.StringIO()
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = act()
    except Hang:
        return "other", f"more than {SECONDS} s"
    except BaseException as error:
        if is_sentence(error):
            return "sentence", str(error)
        return "other", f"{type(error).__name__}: {str(error)[:300]} {_place(error)}"
    finally:
        signal.alarm(0)
    return _judged(code, out.getvalue(), err.getvalue())


def _judged(code: int | None, out: str, err: str) -> tuple[str, str]:
    """The outcome of a command by its code and what it printed."""
    lines = err.strip().splitlines()
    if code is None or (code == 0 and not lines):
        return ("other", "control characters in the output") if _CONTROL.search(out) else ("well", "")
    errors = [line for line in lines if line.startswith("pushforward: error: ")]
    strange = "Traceback" in err or "unexpected" in err or _CONTROL.search(out + err.replace("\n", ""))
    if strange or code not in (0, 1, 2) or len(errors) != (code != 0):
        return "other", f"exit {code}: {err[:500]}"
    return ("well" if code == 0 else "sentence"), err[:500]


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    places = []
    while trace is not None:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " > ".join(places[-6:])


def _hang(number: int, frame: object) -> None:
    raise Hang


def _tell(results: Any, record: dict[str, Any]) -> None:
    results.write(json.dumps(record) + "\n")
    results.flush()


if __name__ == "__main__":
    seed, first, stop, step = map(int, sys.argv[1:5])
    with os.fdopen(int(sys.argv[7]), "w") as pipe:
        work(seed, range(first, stop, step), Path(sys.argv[5]), Path(sys.argv[6]), pipe)
