"""`pushforward sample`: new rows."""

from __future__ import annotations

import torch

from ..data import write_table
from ..training.rng import isolated
from .display import tell
from .files import require_table_suffix, require_writable
from .models import open_model, start
from .options import MachineOptions

CHUNK = 8192
"""Rows drawn together; a constant, because the draws depend on it."""


def sample_table(model_path: str, rows: int, out: str, machine: MachineOptions) -> int:
    """Draw rows and write them as a table.

    Raises:
        FlowError: see the package for the exit codes.
    """
    require_table_suffix(out, "--out")
    require_writable(out, "--out", [model_path])
    loaded = open_model(model_path, start(machine))
    with isolated(loaded.model.device, machine.seed):
        drawn = [loaded.model.sample(min(CHUNK, rows - first)).cpu() for first in range(0, rows, CHUNK)]
    write_table(loaded.schema.decode(torch.cat(drawn)), out)
    if out != "-":
        tell(f"wrote {rows:,} rows to {out}", quiet=machine.quiet)
    return 0
