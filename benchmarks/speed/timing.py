"""Interleaved timing: everyone has a block of calls in every round, in an order that turns from round to round.

What is kept are ratios within a round, to the reference of that round: a machine that is slow for a while is slow for all.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

Call = Callable[[], object]
Say = Callable[[str], None]
"""Told what is going on."""


class ReferenceFailed(Exception):
    """The contender that all others are compared with raised an error; the message is that error."""


def labelled(say: Say, label: str) -> Say:
    """The same, with a label before every text."""

    def said(text: str) -> None:
        say(f"{label}: {text}")

    return said


def one_line(error: BaseException, width: int = 160) -> str:
    """Return the class of an exception and the first line of its message that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= width else text[: width - 3] + "..."


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Args:
        rounds: blocks of each contender.
        block: seconds that a block takes at least.
        slow: seconds; a call that takes longer is measured in its first call alone, one that takes half as long in two rounds.
    """

    rounds: int = 11
    block: float = 0.02
    slow: float = 4.0


@dataclass
class Clock:
    """Seconds of a block of calls.

    Args:
        device: where they run. On a GPU the block is measured with events, after the queue has been emptied.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def block(self, call: Call, count: int) -> float:
        """Seconds for each of `count` calls."""
        if self.device.type != "cuda":
            with _no_collection():
                began = time.perf_counter()
                for _ in range(count):
                    call()
                return (time.perf_counter() - began) / count
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        with _no_collection():
            torch.cuda.synchronize(self.device)
            start.record()
            for _ in range(count):
                call()
            end.record()
            torch.cuda.synchronize(self.device)
        return start.elapsed_time(end) / 1000 / count


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass
class Timed:
    """What was measured of one contender.

    Args:
        relative: seconds over those of the reference in the same round.
        seconds: of one call, in each round.
    """

    relative: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def in_turns(
    contenders: Mapping[str, Call],
    reference: str,
    plan: Plan,
    clock: Clock,
    say: Say = print,
) -> tuple[dict[str, Timed], dict[str, str]]:
    """Time every contender beside the reference.

    Args:
        contenders: name -> one call.
        reference: the contender that all are compared with.
        plan: how much.
        clock: how.
        say: told who is being measured.

    Returns:
        What was measured, and what failed: name -> the error.

    Raises:
        ReferenceFailed: there is nothing to compare with.
    """
    found = {name: Timed() for name in contenders}
    failed: dict[str, str] = {}
    counts: dict[str, int] = {}
    turns: dict[str, int] = {}
    for name in sorted(contenders, key=lambda name: name != reference):
        say(f"warming up {name}")
        try:
            first = clock.block(contenders[name], 1)
            if first <= plan.slow:
                first = clock.block(contenders[name], 1)
        except Exception as error:  # a peer may fail in any way; the others go on
            if name == reference:
                raise ReferenceFailed(one_line(error)) from error
            failed[name] = one_line(error)
            continue
        counts[name] = 1 if first >= plan.block else _calls(contenders[name], plan.block, clock)
        turns[name] = plan.rounds
        if name == reference:
            continue
        if first > plan.slow:
            turns[name] = 0
            beside = clock.block(contenders[reference], counts[reference])
            found[name] = Timed([first / beside], [first])
        elif first > plan.slow / 2:
            turns[name] = min(2, plan.rounds)
    order = list(turns)
    for i in range(plan.rounds):
        say(f"round {i + 1} of {plan.rounds}")
        gc.collect()
        shift = i % len(order)
        taken = {
            name: clock.block(contenders[name], counts[name])
            for name in order[shift:] + order[:shift]
            if i < turns[name]
        }
        for name, seconds in taken.items():
            found[name].seconds.append(seconds)
            found[name].relative.append(seconds / taken[reference])
    return {name: found[name] for name in turns}, failed


def _calls(call: Call, least: float, clock: Clock) -> int:
    """How many calls take at least `least` seconds."""
    count = 1
    while True:
        taken = clock.block(call, count) * count
        if taken >= least or count >= 100_000:
            return count
        count = max(count + 1, min(10 * count, round(1.2 * count * least / max(taken, 1e-7))))
