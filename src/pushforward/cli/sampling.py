"""`pushforward sample`: new rows."""

from __future__ import annotations

from pathlib import Path

import torch

from ..tables import write_table
from ..tables.formats import CSV
from ..training.random_state import isolated
from .display import tell
from .files import require_table_suffix, require_writable
from .models import open_model, start
from .options import MachineOptions
from .problems import UsageError

CHUNK = 8192
"""Rows drawn together; a constant, because the draws depend on it."""


def sample_table(model_path: str, rows: int, out: str, machine: MachineOptions, *, formulas: bool = True) -> int:
    """Draw rows and write them as a table; without `formulas`, with a quote before what a spreadsheet would run.

    Raises:
        UsageError: formulas are to be escaped in a file that is not CSV.
        FlowError: see the package for the exit codes.
    """
    require_table_suffix(out, "--out")
    if not formulas and out != "-" and Path(out).suffix.lower() not in CSV:
        raise UsageError(f"--escape-formulas is for {', '.join(CSV)} and standard output, got {out}; leave it out")
    require_writable(out, "--out", [model_path])
    loaded = open_model(model_path, start(machine))
    with isolated(loaded.model.device, machine.seed):
        drawn = [loaded.model.sample(min(CHUNK, rows - first)).cpu() for first in range(0, rows, CHUNK)]
    write_table(loaded.schema.decode(torch.cat(drawn)), out, formulas=formulas)
    if out != "-":
        tell(f"wrote {rows:,} rows to {out}", quiet=machine.quiet)
    return 0
