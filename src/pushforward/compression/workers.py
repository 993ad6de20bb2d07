"""Threads that code and decode blocks, and the coders that they share."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from ..core import Distribution
from ..errors import SpecError
from .events import EventCoder


class Coders:
    """Coders, as many as there are threads; each serves one thread at a time, because it stores its last batch."""

    def __init__(self, model: Distribution, rows: int, workers: int) -> None:
        first = EventCoder(model, rows)
        self.fingerprint = first.fingerprint
        self._free: queue.SimpleQueue[EventCoder] = queue.SimpleQueue()
        for coder in [first, *(EventCoder(model, rows) for _ in range(workers - 1))]:
            self._free.put(coder)

    def run(self, work: Callable[[EventCoder], Any]) -> Any:
        """Return the result of a function of a coder, called as soon as a coder is free."""
        coder = self._free.get()
        try:
            return work(coder)
        finally:
            self._free.put(coder)


def pool(workers: int) -> ThreadPoolExecutor:
    """Return a pool of threads in which torch computes with one thread each.

    Raises:
        SpecError: There is less than one thread.
    """
    if workers < 1:
        raise SpecError(f"expected at least one worker, got {workers}")
    return ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
