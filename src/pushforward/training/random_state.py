"""Random state of torch: running code with a separate seed, and reading and setting the state as plain tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def isolated(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's random numbers on the CPU and on `device` with `seed` within the block; restore their state afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.random.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def generators(device: torch.device) -> dict[str, torch.Generator]:
    """Return torch's default generators of the CPU and of `device`, with the keys that `random_state` uses."""
    found = {"cpu": torch.random.default_generator}
    if device.type == "cuda":
        torch.cuda.init()
        found["cuda"] = torch.cuda.default_generators[
            torch.cuda.current_device() if device.index is None else device.index
        ]
    return found


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's random numbers on the CPU and on `device`."""
    return {name: generator.get_state() for name, generator in generators(device).items()}


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Set the state that `random_state` returned."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def fresh_stream(device: torch.device, seed: int, rank: int, step: int) -> None:
    """Seed the random numbers of one of several processes, different from those of other processes and other steps."""
    mixed = ((seed * 1_000_003 + rank) * 1_000_003 + step) % 2**63
    torch.random.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(mixed)


def seeded_generator(seed: int, number: int) -> torch.Generator:
    """Return the generator for an epoch of a run; number 0 is for the split into training and validation rows."""
    # The factor is a prime, so that the epochs of neighbouring seeds do not get the same orders.
    return torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
