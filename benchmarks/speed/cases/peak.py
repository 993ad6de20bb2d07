"""Memory of a training step, each library in a process of its own.

What a step saves for its backward pass is counted exactly: every storage that autograd keeps, once, without the parameters
and the batch. Beside it stands by how much the first full step raised the memory of its process at its highest, temporaries,
gradients and all; that number is coarse. On a GPU the allocator's own peak is used.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import torch
from torch import Tensor

from ...peers import Absent, load
from ...peers.library import randomise, trainable
from ..work import SIZES, SYSTEMS, Work
from .flows import Likelihood, ReverseKL

MIB = 2**20
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Linux tells the highest resident memory of a process, and forgets it when 5 is written (proc(5))."""


def peak(name: str, work: Work, device: torch.device, threads: int) -> dict[str, float]:
    """Measure in a fresh process: {"saved": MiB, "resident": MiB}.

    Raises:
        Absent: the library has not got it, or its process failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", __name__, name, work.system.name, work.size.name, str(device), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Absent(lines[-1] if lines else f"its process ended with code {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class Saved:
    """Within, what autograd saves is written down.

    Args:
        known: tensors that are there anyway.
    """

    def __init__(self, known: list[Tensor]) -> None:
        self.known = {t.untyped_storage().data_ptr() for t in known}
        self.bytes: dict[int, int] = {}
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda t: t)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.known:
            self.bytes[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(self.bytes.values())


def measure(name: str, work: Work, device: torch.device) -> dict[str, float]:
    """Measure in this process."""
    torch.manual_seed(0)
    model = load(name).build(work)
    if work.system.structure != "image":
        randomise(model)
    model.to(device).train()
    loss = (ReverseKL if work.system.inverted else Likelihood)(model)
    parameters = trainable(model)
    optimiser = torch.optim.Adam(parameters, lr=1e-6, fused=True)

    def step(x: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss(x).backward()
        optimiser.step()

    step(torch.randn(2, *work.size.shape, device=device))
    x = torch.randn(work.size.batch, *work.size.shape, device=device)
    optimiser.zero_grad(set_to_none=True)
    before = _before(device)
    step(x)
    after = _highest(device)
    optimiser.zero_grad(set_to_none=True)
    saved = Saved([x, *model.parameters(), *model.buffers()])
    with saved.hooks:
        value = loss(x)
    total = saved.total
    value.backward()
    return {"saved": total / MIB, "resident": (after - before) / MIB}


def _before(device: torch.device) -> int:
    """Bytes in use now; from here on the highest is remembered."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not STATUS.exists():
        return _highest(device)
    CLEAR.write_text("5")
    return _status("VmRSS")


def _highest(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if STATUS.exists():
        return _status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise Absent(f"{STATUS} does not tell {name}")


def main() -> int:
    """The process of its own: library, system, size, device, threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    for argument in ("library", "system", "size", "device"):
        parser.add_argument(argument)
    parser.add_argument("threads", type=int)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    work = Work(SYSTEMS[options.system], SIZES[options.size])
    try:
        print(json.dumps(measure(options.library, work, torch.device(options.device))))
    except Absent as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
