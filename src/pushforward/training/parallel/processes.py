"""Distributed training: the processes of a run, their common decisions, and the end of a run that loses a process.

`torchrun` starts the processes and sets the rank of each in its environment. Without it there is one process, no process
group, and every method here returns its argument. All processes have the same rows and make the same steps; each computes its
share of every batch. Facts that only one of them knows (the clock, Ctrl-C) are exchanged before any process acts on them;
otherwise a process could stop while others wait for it. Only the first process writes files.
"""

from __future__ import annotations

import atexit
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from ...errors import FlowError, TrainingError
from ..interrupt import FinalMessage

T = TypeVar("T")

ANSWER = timedelta(minutes=10)
"""Time within which every process must answer the others."""
AGREE_SECONDS = 1.0
"""Approximate time in seconds between two exchanges about stopping and saving."""
AGREE_STEPS = 50
"""Largest number of steps between two such exchanges."""

_silent: bool | None = None
"""Whether another process has reported an error; None if there was none."""
_runs = 0
"""Number of runs started with several processes; it is the same in every process."""


class LostProcess(TrainingError):
    """Another process of the run has ended, or does not answer."""


class ProcessRanks:
    """One of the processes of a run; by default the only one.

    Args:
        rank: Number of this process, from 0.
        size: Number of processes.
        control: Process group for values on the CPU; None for one process.
    """

    def __init__(self, rank: int = 0, size: int = 1, control: Any = None) -> None:
        self.rank, self.size, self.control = rank, size, control
        self.run = 0
        self.checkpoint: Path | None = None
        self.final_message: FinalMessage | None = None
        self._countdown, self._interval, self._last = 1, 1, time.monotonic()

    @property
    def main(self) -> bool:
        """Whether this process writes the files and messages."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there is more than one process."""
        return self.size > 1

    @property
    def asked_to_end(self) -> bool:
        """Whether SIGTERM was received."""
        return self.final_message is not None and self.final_message.requested

    def share(self, rows: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], float]:
        """Return this process's part of a batch, and its share: rows of the part / rows of the batch.

        The parts are consecutive, and their sizes differ by at most one row. A process with an empty part gets the first
        row of the batch with share 0: it must take part in the exchange of gradients, and share 0 makes its gradient zero.
        """
        if not self.several:
            return rows, 1.0
        count = rows[0].shape[0]
        start, stop = self.rank * count // self.size, (self.rank + 1) * count // self.size
        if start == stop:
            return tuple(t[:1] for t in rows), 0.0
        return tuple(t[start:stop] for t in rows), (stop - start) / count

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes of a tensor on the model's device."""
        if self.several:
            value = value.clone()
            distributed.all_reduce(value, group=self.control if value.device.type == "cpu" else None)
        return value

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.several:
            for tensor in tensors:
                sent = tensor.detach().contiguous()
                distributed.broadcast(sent, 0)
                tensor.detach().copy_(sent)

    def agree(self, *wishes: bool, now: bool = False) -> tuple[bool, ...]:
        """Return for each flag whether any process has set it; about once a second, all False in between.

        The processes exchange flags only after a number of steps, as an exchange in every step would cost time.

        Args:
            wishes: Flags of this process.
            now: Whether to exchange the flags at once.
        """
        if not self.several:
            return wishes
        self._countdown -= 1
        if self._countdown > 0 and not now:
            return (False,) * len(wishes)
        steps, seconds = self._interval - self._countdown, time.monotonic() - self._last
        values = torch.tensor([*map(float, wishes), seconds / max(1, steps)])
        distributed.all_reduce(values, distributed.ReduceOp.MAX, group=self.control)
        *found, pace = values.tolist()
        # Every process gets the same number, as it depends on exchanged values only; so all ask again at the same step.
        self._countdown = self._interval = max(1, min(AGREE_STEPS, int(AGREE_SECONDS / max(pace, 1e-6))))
        self._last = time.monotonic()
        return tuple(bool(value) for value in found)

    def once(self, act: Callable[[], T]) -> T:
        """Run `act` in the first process only, and return its result in every process.

        Raises:
            FlowError: The error raised by `act` in the first process; it is raised in every process.
        """
        if not self.several:
            return act()
        answer: list[Any] = [None, None]
        if self.main:
            try:
                answer[0] = act()
            except FlowError as error:
                answer[1] = error
        distributed.broadcast_object_list(answer, 0, group=self.control)
        if answer[1] is not None:
            raise answer[1]
        result: T = answer[0]
        return result

    def gathered(self, value: T) -> list[T]:
        """Return the values of all processes, in their order."""
        if not self.several:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value, group=self.control)
        return values

    def require_same(self, value: object) -> None:
        """Refuse to run if the processes have different rows, splits or options.

        Raises:
            TrainingError: A process has another value than the first one.
        """
        values = self.gathered(repr(value))
        for rank, other in enumerate(values):
            if other != values[0]:
                raise TrainingError(
                    f"expected the same rows, split and options in all {self.size} processes, got others in process {rank}; "
                    "each takes its own share of every batch. For separate runs unset WORLD_SIZE"
                )

    def require_own_device(self, device: torch.device) -> None:
        """Refuse to run if processes share a GPU.

        Raises:
            TrainingError: Two processes use the same GPU.
        """
        index = torch.cuda.current_device() if device.index is None and device.type == "cuda" else device.index
        places = self.gathered((socket.gethostname(), index))
        if device.type == "cuda" and len(set(places)) < len(places):
            raise TrainingError(
                f"expected a GPU of its own for each of {self.size} processes, got models on {places[self.rank]} more than "
                "once; move each to its own with model.to(f'cuda:{os.environ[\"LOCAL_RANK\"]}')"
            )

    def reported_elsewhere(self) -> bool:
        """Register this process as the one that reports the end of the run; return True if another process was first."""
        try:
            store = distributed.distributed_c10d._get_default_store()
            return int(store.add(f"pushforward report {self.run}", 1)) > 1
        # The process that keeps the store may be the lost one.
        except RuntimeError:
            return False

    def lost_message(self) -> str:
        """Return the message about a lost process."""
        how = "another process of this run has ended, or does not answer"
        if self.checkpoint is None or not self.checkpoint.exists():
            return f"{how} (seen by process {self.rank} of {self.size}); nothing was saved"
        return (
            f"{how} (seen by process {self.rank} of {self.size}); "
            f"the last checkpoint is in {self.checkpoint}; resume from it"
        )


@contextmanager
def joined(device: torch.device, checkpoint: Path | None = None) -> Iterator[ProcessRanks]:
    """Join the processes that `torchrun` started; without `torchrun`, this process is the only one.

    Within the block, the loss of a process raises an error in the others, and SIGTERM, which `torchrun` then sends to
    them, only sets a flag. The process group stays for the next run; `leave` ends it, at the latest when Python ends.

    Args:
        device: Device of the model, which determines the backend: nccl for GPUs, else gloo.
        checkpoint: Path of the run's checkpoint, for messages.

    Raises:
        LostProcess: Another process has ended, or does not answer.
        TrainingError: The environment has a number of processes, but no address to reach them.
    """
    if world_size() == 1:
        yield ProcessRanks()
        return
    global _silent, _runs
    ranks = _connect(device)
    _silent, _runs = None, _runs + 1
    ranks.run, ranks.checkpoint = _runs, checkpoint
    ranks.final_message = FinalMessage(lambda: "" if ranks.reported_elsewhere() else ranks.lost_message())
    with ranks.final_message, warnings.catch_warnings():
        # torch warns about different strides of dimensions of length 1, which have no effect; the kernels of small
        # convolutions have many.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        try:
            ranks.require_own_device(device)
            yield ranks
        except BaseException as error:
            # torchrun ends this process as soon as it sees that another one failed; the report must be made before that.
            ranks.final_message.ignore_more()
            _silent = ranks.reported_elsewhere()
            if isinstance(error, RuntimeError) and _of_the_connection(error):
                atexit.unregister(leave)
                raise LostProcess(ranks.lost_message()) from error
            raise


def silent() -> bool:
    """Return whether another process reports the end of the run: the first process, or the first one with an error."""
    return process_rank() > 0 if _silent is None else _silent


def world_size() -> int:
    """Return the number of processes set in the environment."""
    return _number("WORLD_SIZE", 1)


def process_rank() -> int:
    """Return the number of this process."""
    return _number("RANK", 0) if world_size() > 1 else 0


def local_rank() -> int:
    """Return the number of this process on this machine, which is also the number of its GPU."""
    return _number("LOCAL_RANK", 0) if world_size() > 1 else 0


def leave() -> None:
    """Leave the process group, if there is one; afterwards no process waits for another."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _connect(device: torch.device) -> ProcessRanks:
    if not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        try:
            distributed.init_process_group(backend, timeout=ANSWER)
        except ValueError as error:
            raise TrainingError(
                f"expected to be started by torchrun, as WORLD_SIZE is {world_size()}: {error}; use torchrun, or unset it"
            ) from None
        atexit.register(leave)
    # A process group made by the user may have no backend for the CPU.
    control = None if "gloo" in distributed.get_backend_config() else distributed.new_group(backend="gloo")
    return ProcessRanks(distributed.get_rank(), distributed.get_world_size(), control)


def _of_the_connection(error: RuntimeError) -> bool:
    """Return whether an error comes from the exchange between processes rather than from the model."""
    if isinstance(error, distributed.DistError):
        return True
    text = str(error)
    return any(
        sign in text for sign in ("gloo", "NCCL", "nccl", "Connection closed by peer", "Connection reset by peer")
    )


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default
