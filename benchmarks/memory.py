"""Peak activation memory and time of one training step, ordinary, constant-memory and checkpointed: 64 layers against 8.

    python -m benchmarks.memory [--batch 512] [--features 43] [--width 256] [--rounds 9] [--threads 1]

Memory: every storage that a step allocates is followed from the operation that makes it until it is freed; parameters and
what becomes their gradients are left out, and the largest sum is the peak. Beside it stands what the allocator reports to
torch's profiler, gradients included, as a check. Time: the modes take turns, and the median of the rounds counts; a step is
the forward pass, the backward pass and the fused optimiser.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import pushforward as pf
from pushforward.core.memory import Memory, reconstruction_drift, set_memory

MODES: tuple[Memory, ...] = ("store", "invert", "checkpoint")
DEPTHS = (8, 64)
MEMORY_AIM, TIME_AIM = 1.3, 1.6


class Allocations(TorchDispatchMode):
    """Within, every new storage is written down: (+bytes, number) when it is made, (-bytes, number) when it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[int, int]] = []
        self.numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.count = 0

    def know(self, tensors: Sequence[Tensor]) -> None:
        """Leave out the storages of tensors that are there already."""
        for tensor in tensors:
            self.numbers[tensor.untyped_storage()] = -1

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and look at what it returns."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        return result

    def _see(self, storage: Any) -> None:
        if storage in self.numbers:
            return
        number, size = self.count, storage.nbytes()
        self.count += 1
        self.numbers[storage] = number
        self.events.append((size, number))
        weakref.finalize(storage, self.events.append, (-size, number)).atexit = False

    def peak(self, without: Sequence[Tensor]) -> int:
        """The largest number of bytes alive at once, those of some tensors left out."""
        left_out = {self.numbers[t.untyped_storage()] for t in without if t.untyped_storage() in self.numbers}
        alive = highest = 0
        for size, number in self.events:
            if number not in left_out:
                alive += size
                highest = max(highest, alive)
        return highest


@dataclasses.dataclass
class Trained:
    """One model with its optimiser and a batch; `step` is a training step.

    Args:
        model: the flow.
        x: the batch.
    """

    model: nn.Module
    x: Tensor

    def __post_init__(self) -> None:
        """Make the optimiser, and move every parameter off its start."""
        torch.manual_seed(0)
        with torch.no_grad():
            for p in self.model.parameters():
                p.add_(0.1 / max(p.shape[-1], 4) ** 0.5 * torch.randn_like(p))
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        self.step()

    def step(self) -> None:
        """Forward, backward, optimiser."""
        self.gradient()
        self.optimiser.step()

    def gradient(self) -> None:
        """Forward and backward; gradients are made anew, as in `fit`."""
        self.optimiser.zero_grad(set_to_none=True)
        (-self.model(self.x).mean()).backward()

    def peak(self) -> int:
        """Bytes of activations alive at once, at most."""
        self.optimiser.zero_grad(set_to_none=True)
        allocations = Allocations()
        allocations.know([self.x, *self.model.parameters(), *self.model.buffers()])
        with allocations:
            self.gradient()
        return allocations.peak([p.grad for p in self.model.parameters() if p.grad is not None])

    def allocated(self) -> int:
        """Bytes that the allocator gave out at once, at most, gradients included."""
        self.optimiser.zero_grad(set_to_none=True)
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
        ) as profile:
            self.gradient()
        alive = highest = 0
        events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
        for event in sorted(events, key=lambda e: e.start_ns()):
            alive += event.nbytes()
            highest = max(highest, alive)
        return highest


def time_in_turns(steps: Sequence[Callable[[], None]], rounds: int) -> list[float]:
    """Median seconds of each step, the steps taking turns."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds):
        for taken, step in zip(seconds, steps, strict=True):
            began = time.perf_counter()
            step()
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in seconds]


def models(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[int], nn.Module]]]:
    """The flows by name, each built from its number of layers."""
    yield (
        "realnvp",
        lambda layers: pf.build("realnvp", features=options.features, layers=layers, hidden=(options.width,) * 2),
    )
    yield (
        "nsf coupling",
        lambda layers: pf.build(
            "nsf", features=options.features, layers=layers, hidden=options.width, structure="coupling"
        ),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 512), ("features", 43), ("width", 256), ("rounds", 9), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {options.threads} thread(s), D = {options.features}, batch {options.batch}, "
        f"width {options.width}"
    )
    for name, build in models(options):
        x = torch.randn(options.batch, options.features, generator=torch.Generator().manual_seed(0))
        trained = {depth: Trained(build(depth), x) for depth in DEPTHS}
        peaks, times = {}, {}
        for depth, one in trained.items():
            for mode in MODES:
                set_memory(one.model, mode)
                peaks[depth, mode] = one.peak()
                total = one.allocated()
                print(
                    f"{name:13s} {depth:3d} layers  {mode:11s} peak {peaks[depth, mode] / 2**20:8.2f} MiB of activations; "
                    f"{total / 2**20:8.2f} MiB allocated, gradients included"
                )

        def in_mode(one: Trained, mode: Memory) -> Callable[[], None]:
            def step() -> None:
                set_memory(one.model, mode)
                one.step()

            return step

        for depth, one in trained.items():
            found = time_in_turns([in_mode(one, mode) for mode in MODES], options.rounds)
            times.update({(depth, mode): seconds for mode, seconds in zip(MODES, found, strict=True)})
            shown = ", ".join(f"{mode} {1000 * times[depth, mode]:.1f} ms" for mode in MODES)
            print(f"{name:13s} {depth:3d} layers  a step: {shown}")
        few, many = DEPTHS
        set_memory(trained[many].model, "store")
        drift = max(d.along for d in reconstruction_drift(trained[many].model, x) if d.kept == "invert")
        growth = peaks[many, "invert"] / peaks[few, "invert"]
        slower = times[many, "invert"] / times[many, "store"]
        print(
            f"{name}: constant memory, {many} layers against {few}: peak x {growth:.2f} (aim {MEMORY_AIM}); "
            f"against ordinary training of {few} layers x {peaks[many, 'invert'] / peaks[few, 'store']:.2f}, "
            f"of {many} x {peaks[many, 'invert'] / peaks[many, 'store']:.3f}"
        )
        print(
            f"{name}: time at {many} layers against ordinary training: constant memory x {slower:.2f} (aim {TIME_AIM}), "
            f"checkpointed x {times[many, 'checkpoint'] / times[many, 'store']:.2f}; drift {drift:.1e}\n"
        )


if __name__ == "__main__":
    main()
