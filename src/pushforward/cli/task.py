"""Task: the steps of the commands for one kind of data, which each kind of data fills in; and how rows are split."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from ..core import Distribution, exactly
from ..errors import SpecError
from ..evaluation.held_out import Holdout
from ..tables import Table
from ..training import FitResult, TrainConfig
from ..training.parallel.processes import local_rank, world_size
from .console import Terminal
from .options import (
    ImageOptions,
    MachineOptions,
    OutputOptions,
    ReadOptions,
    ReportOptions,
    SampleOptions,
    ScoreOptions,
    SystemOptions,
    TableOptions,
    TrainOptions,
    UsageError,
)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The options of `fit`."""

    output: OutputOptions
    system: SystemOptions
    columns: TableOptions
    reading: ReadOptions
    images: ImageOptions
    training: TrainOptions
    machine: MachineOptions


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """What a model is trained on.

    Args:
        rows: Rows as the model takes them.
        context: Context of each row, or None.
        validation: Rows to validate with, or their fraction or number; None for none.
        objective: Loss, where it is not the negative log-likelihood.
        callbacks: Functions that are called after each epoch.
    """

    rows: Any
    context: Any = None
    validation: Any = None
    objective: nn.Module | None = None
    callbacks: Sequence[Callable[[dict[str, Any]], Any]] = ()


class Task(abc.ABC):
    """One kind of data, and a source of it that a model is fitted to: read, split, spec, model, rows, score, describe.

    Making a task refuses options that it does not have; nothing is read yet.

    Args:
        source: File, folder or name of the data.
        options: The options of `fit`.
        terminal: Streams of the command.
    """

    noun: ClassVar[str]
    """Plural of what a row is."""
    holdout: Holdout

    def __init__(self, source: str, options: FitOptions, terminal: Terminal) -> None:
        self.source, self.options, self.terminal = source, options, terminal
        self.seed = options.machine.seed
        self.config = TrainConfig(
            **asdict(options.training), seed=options.machine.seed, threads=options.machine.threads
        )

    @classmethod
    @abc.abstractmethod
    def reads(cls, source: str) -> bool:
        """Whether a source holds data of this kind."""

    @classmethod
    @abc.abstractmethod
    def owns(cls, model: Mapping[str, Any]) -> bool:
        """Whether the description in a model file is that of a model of this kind of data."""

    @classmethod
    @abc.abstractmethod
    def trained(cls) -> type[TrainedModel]:
        """Return the class of models of this kind of data from files."""

    @abc.abstractmethod
    def read(self) -> None:
        """Read the data.

        Raises:
            FlowError: They cannot be read, or are too few.
        """

    @abc.abstractmethod
    def split(self) -> None:
        """Split the data into parts for training, for validation and for testing."""

    @abc.abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return the name of the system, as "system", and its arguments."""

    @abc.abstractmethod
    def model(self, spec: Mapping[str, Any]) -> Distribution:
        """Return a model of the data with fresh weights."""

    @abc.abstractmethod
    def rows(self, model: Distribution) -> TrainingRows:
        """Return what the model is trained on."""

    @abc.abstractmethod
    def score(self, model: Distribution) -> dict[str, Any] | None:
        """Return the score of the held-out rows beside the baselines', as plain values; None when no rows were held out."""

    def finish(self, model: Distribution, result: FitResult) -> tuple[Distribution, dict[str, Any]]:
        """Return the model to keep once training is over, and entries for the record; by default the trained one.

        Raises:
            Interrupted: Ctrl-C or SIGTERM.
        """
        return model, {}

    def results(self, model: Distribution) -> dict[str, Any]:
        """Return what the record of the run says about the trained model."""
        return {"scores": self.score(model)}

    @abc.abstractmethod
    def score_text(self, model: Distribution, scores: Mapping[str, Any]) -> str:
        """Return the score as text."""

    @abc.abstractmethod
    def describe(self) -> list[str]:
        """Return lines about the data and their parts."""

    @abc.abstractmethod
    def record(self) -> dict[str, Any]:
        """Return what the model file says about the data."""


class TrainedModel(abc.ABC):
    """A model from a file, on its device and in evaluation mode, and the data that it is asked about.

    Args:
        path: The file.
        model: The model.
        training: Record that `fit` saved.
    """

    default_samples: ClassVar[int]
    """Number of samples when none is given."""
    prints_scores: ClassVar[bool] = False
    """Whether scores go to standard output when no file is named for them."""

    def __init__(self, path: str, model: Any, training: dict[str, Any]) -> None:
        self.path, self.model, self.training = path, model, training

    @property
    def system(self) -> str:
        """Name of the system."""
        return system_name(self.model)

    @classmethod
    @abc.abstractmethod
    def open(cls, path: str, device: torch.device) -> Self:
        """Return a model of this kind of data from a file.

        Raises:
            FileError: The file cannot be read, or holds no model.
            DataError: The model is one of other data.
        """

    @classmethod
    @abc.abstractmethod
    def check_score(cls, path: str, options: ScoreOptions) -> None:
        """Refuse options of `score` that this kind of data does not have."""

    @classmethod
    @abc.abstractmethod
    def check_report(cls, path: str, options: ReportOptions) -> None:
        """Refuse options of `report` that this kind of data does not have."""

    @classmethod
    @abc.abstractmethod
    def check_sample(cls, path: str, options: SampleOptions) -> None:
        """Refuse options of `sample` that this kind of data does not have, and an output that cannot be written."""

    @abc.abstractmethod
    def prepare(self, source: str, drop: Sequence[str], reading: ReadOptions) -> None:
        """Read the data to ask the model about.

        Raises:
            FlowError: They cannot be read, or are not those of this model.
        """

    def solve_exactly(self) -> None:
        """Score with solvers, traces and series that are right to rounding."""
        self.model = exactly(self.model)

    @abc.abstractmethod
    def log_likelihoods(self, samples: int, seed: int) -> Array:
        """Return the log-likelihood of each row of the data, in nats."""

    def score_table(self, log_prob: Array, options: ScoreOptions, seed: int) -> Table:
        """Return the table of the scores of all rows, which `score` writes."""
        return Table(("log_prob",), (log_prob,))

    @abc.abstractmethod
    def least_likely(self, log_prob: Array, rows: Array, width: int) -> str:
        """Return some rows with their scores as text of at most a width, where that is possible."""

    @abc.abstractmethod
    def summary(self, log_prob: Array, samples: int) -> Iterable[str]:
        """Return lines about the scores of all rows."""

    @abc.abstractmethod
    def score_record(self, log_prob: Array, rows: Array, samples: int) -> dict[str, Any]:
        """Return the summary, and some rows with their scores, as plain values."""

    @abc.abstractmethod
    def sample(self, count: int, options: SampleOptions, seed: int, terminal: Terminal) -> None:
        """Draw samples and write them to the output."""

    @abc.abstractmethod
    def report(
        self, title: str | None, seed: int, terminal: Terminal, *, baselines: bool
    ) -> tuple[str, str, dict[str, Any]]:
        """Return a page of HTML about the model and the data, and the score on it as text and as plain values."""


def system_name(model: Any) -> str:
    """Return the name of the system of a model; for a table without numeric columns that of its labels."""
    spec = model.spec or getattr(model, "label_spec", None)
    return "labels" if spec is None else spec.name


def start(machine: MachineOptions, *, shared: bool = False) -> torch.device:
    """Set the number of threads; return the device to compute on, of several processes on a machine one for each.

    Args:
        machine: Options of the command.
        shared: Whether the command can be shared among several processes.

    Raises:
        SpecError: A GPU is asked for, and there is none.
        UsageError: `torchrun` started several processes of a command that one process does.
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
        UsageError: `torchrun` started several.
    """
    if world_size() > 1:
        raise UsageError("only fit is shared among the processes of torchrun; start this command without it")


def require_suffix(path: str, option: str, known: Mapping[str, Any] | Sequence[str]) -> None:
    """Refuse the path of a table whose suffix is unknown; - is CSV.

    Raises:
        UsageError: With the suffixes that are known.
    """
    if path != "-" and Path(path).suffix.lower() not in known:
        raise UsageError(f"expected {option} to be - or a file of type {', '.join(known)}, got {path}")
