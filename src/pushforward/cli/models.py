"""Models of tables from files, the tables they are asked about, and their log-likelihoods."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ..core import Exactness
from ..errors import DataError, SpecError, suggestion
from ..evaluation import log_likelihoods
from ..serialize import Saved, load
from ..tables import Schema, Table, TableModel, read_table
from ..training.parallel.processes import local_rank, world_size
from .options import MachineOptions, ReadOptions
from .problems import UsageError
from .records import usable

Array = np.ndarray[Any, np.dtype[Any]]
FAR = 15.0
"""Nats below the median from which a row is scored in float64."""


@dataclass(frozen=True)
class LoadedTable:
    """A model of a table, from a file.

    Args:
        model: on its device, in evaluation mode.
        schema: of the table.
        training: the record that `fit` saved.
        saved: everything else.
    """

    model: TableModel
    schema: Schema
    training: dict[str, Any]
    saved: Saved

    @property
    def system(self) -> str:
        """Name of the system; of the labels' network where there are no numeric columns."""
        return system_name(self.model)

    def read(self, path: str, drop: Sequence[str], reading: ReadOptions) -> Table:
        """A table for this model, without the columns that were dropped when it was fitted.

        Raises:
            FileError: it cannot be read.
            DataError: a column to drop is not there.
        """
        text = [c.name for c in self.schema.columns if c.storage == "str"]
        table = read_table(path, text=text, **asdict(reading))
        before = [name for name in self.training.get("data", {}).get("dropped", ()) if name in table.names]
        return without(without(table, drop), [name for name in before if name not in drop])


def system_name(model: TableModel) -> str:
    """Name of the system that models the numeric columns, or what is used where there are none."""
    spec = model.label_spec if model.spec is None else model.spec
    return "labels" if spec is None else spec.name


def start(machine: MachineOptions, *, shared: bool = False) -> torch.device:
    """Set the number of threads; the device to compute on, of several processes on a machine one for each.

    Args:
        machine: the options.
        shared: whether the command can be shared among several processes.

    Raises:
        SpecError: a GPU is asked for, and there is none.
        UsageError: torchrun started several processes of a command that one process does.
    """
    if not shared:
        require_alone()
    torch.set_num_threads(machine.threads)
    available = torch.cuda.is_available()
    if machine.device == "cuda" and not available:
        raise SpecError("expected a CUDA device for --device cuda, got none on this machine; use --device cpu")
    if not available or machine.device == "cpu":
        return torch.device("cpu")
    if world_size() == 1:
        return torch.device("cuda")
    if local_rank() >= torch.cuda.device_count():
        raise SpecError(
            f"expected a GPU for each process, got {torch.cuda.device_count()} and process {local_rank()} on this machine; "
            "start fewer, or use --device cpu"
        )
    device = torch.device("cuda", local_rank())
    torch.cuda.set_device(device)
    return device


def require_alone() -> None:
    """Refuse several processes of a command that one process does.

    Raises:
        UsageError: torchrun started several.
    """
    if world_size() > 1:
        raise UsageError("only fit is shared among the processes of torchrun; start this command without it")


def open_model(path: str, device: torch.device) -> LoadedTable:
    """Read a model of a table.

    Raises:
        FileError: the file cannot be read, or holds no model.
        DataError: the model is not one of a table.
    """
    saved = load(path)
    if not isinstance(saved.model, TableModel) or saved.schema is None:
        raise DataError(
            f"expected a model of a table in {path}, got another one; use it in Python with pushforward.load"
        )
    model = saved.model.to(device).eval()
    return LoadedTable(model, saved.schema, usable(saved.training), saved)


def without(table: Table, names: Collection[str]) -> Table:
    """The table without some columns.

    Raises:
        DataError: one is not there, or none is left.
    """
    for name in names:
        if name not in table.names:
            instead = suggestion(name, table.names, "the columns are")
            raise DataError(f"there is no column {name!r} to drop; {instead}")
    kept = [i for i, name in enumerate(table.names) if name not in names]
    if not kept:
        raise DataError("expected a column to be left, got all of them dropped")
    return Table(tuple(table.names[i] for i in kept), tuple(table.columns[i] for i in kept))


def row_scores(model: TableModel, rows: Array, seed: int, samples: int = 1) -> Array:
    """Return the log-likelihood of encoded rows in nats and raw units: (N, C) -> (N,); see `evaluation.log_likelihoods`.

    Rows far out in heavy tails lose up to three digits in float32, so those far below the median are computed again in float64.
    """
    scores = log_likelihoods(model, rows, samples=samples, seed=seed).numpy()
    far = np.flatnonzero(scores < np.median(scores) - FAR)
    if len(far) and model.exactness == Exactness.EXACT and model.device.type == "cpu":
        scores[far] = log_likelihoods(copy.deepcopy(model).double(), rows[far], seed=seed).numpy()
    return scores
