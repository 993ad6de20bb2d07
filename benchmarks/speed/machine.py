"""What a run was measured on and with."""

from __future__ import annotations

import datetime
import platform
import re
from pathlib import Path
from typing import Any

import torch

from ..peers import NAMES, version

GPU = "cuda"
"""How the names of settings on a GPU begin."""


def setting(device: torch.device) -> str:
    """The name under which results are kept together: only equal settings can be compared."""
    if device.type == "cuda":
        return f"{GPU}-{re.sub('[^a-z0-9]+', '-', torch.cuda.get_device_name(device).lower())}"
    threads = torch.get_num_threads()
    return f"cpu-{threads}-thread{'' if threads == 1 else 's'}"


def setting_title(name: str) -> str:
    """As a heading: "CPU, 1 thread", "GPU, ..."."""
    kind, _, rest = name.partition("-")
    return f"{'GPU' if kind == GPU else kind.upper()}, {rest.replace('-', ' ')}"


def describe(device: torch.device, rounds: int) -> dict[str, Any]:
    """Date, machine, threads, versions, rounds."""
    versions = {name: found for name in NAMES if (found := version(name))}
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": _gpu(device) if device.type == "cuda" else cpu(),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "versions": versions,
    }


def cpu() -> str:
    """The processor's own name for itself, and how many there are."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        found = {key.strip(): value.strip() for key, value in fields.items()}
        name = found.get("model name", name)
        if "family" not in name and "model" in found:
            name += f" (family {found.get('cpu family')}, model {found['model']})"
    return f"{name}, {torch.multiprocessing.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def _gpu(device: torch.device) -> str:
    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
