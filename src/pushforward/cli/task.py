"""Base classes of the commands for one kind of data: `Task` for fitting, and `TrainedModel` for models from files."""

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
from ..evaluation import BiLipschitz
from ..evaluation.held_out import Holdout
from ..tables import Table
from ..tables.auto import QUICK_SECONDS
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
    """All options of `fit`, by group."""

    output: OutputOptions
    system: SystemOptions
    columns: TableOptions
    reading: ReadOptions
    images: ImageOptions
    training: TrainOptions
    machine: MachineOptions


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """Data for the training of a model.

    Args:
        rows: Rows in the form that the model needs.
        context: Context of each row, or None.
        validation: Validation rows, or their fraction or number; None for none.
        objective: Loss; None for the negative log-likelihood.
        callbacks: Functions that are called after each epoch.
    """

    rows: Any
    context: Any = None
    validation: Any = None
    objective: nn.Module | None = None
    callbacks: Sequence[Callable[[dict[str, Any]], Any]] = ()


class Task(abc.ABC):
    """Task of fitting a model to a source of one kind of data, such as a table; base class.

    The constructor checks the options, and refuses those that do not belong to this kind of data. It reads no data. `fit` then
    calls the methods `read`, `split`, `spec`, `model`, `describe`, `rows`, `finish` and `results`, in this order.

    Args:
        source: File, folder or name of the data.
        options: Options of `fit`.
        terminal: Output streams of the command.
    """

    noun: ClassVar[str]
    """Plural of the name of one event, such as "rows"."""
    holdout: Holdout

    def __init__(self, source: str, options: FitOptions, terminal: Terminal) -> None:
        self.source, self.options, self.terminal = source, options, terminal
        self.seed = options.machine.seed
        self.config = TrainConfig(
            **asdict(options.training), seed=options.machine.seed, threads=options.machine.threads
        )
        if options.system.quick and self.config.max_seconds is None:
            self.config = self.config.replace(max_seconds=QUICK_SECONDS)

    @classmethod
    @abc.abstractmethod
    def reads(cls, source: str) -> bool:
        """Return whether a source holds data of this kind."""

    @classmethod
    @abc.abstractmethod
    def owns(cls, model: Mapping[str, Any]) -> bool:
        """Return whether the description in a model file is that of a model of this kind of data."""

    @classmethod
    @abc.abstractmethod
    def trained(cls) -> type[TrainedModel]:
        """Return the class that handles models of this kind of data from files."""

    def _parted(self, found: Any, shares: tuple[float, float]) -> tuple[Any, Any, Any]:
        """Return the training, validation and test part of a split, and keep the rule of those that are drawn here.

        The test part is drawn first, then the validation part; parts that the source has stay as they are.

        Args:
            found: Split with the attributes `train`, `valid` and `test`, whose parts have a method `take`.
            shares: Fractions or numbers of the test and the validation part.
        """
        train, valid, test = found.train, found.valid, found.test
        test_share, valid_share = shares
        self.holdout = Holdout(
            len(train), test_share if test is None else 0, valid_share if valid is None else 0, self.seed
        )
        parts = self.holdout.parts(self.noun)
        return (
            train.take(parts.train),
            train.take(parts.validation) if len(parts.validation) else valid,
            train.take(parts.test) if len(parts.test) else test,
        )

    @abc.abstractmethod
    def read(self) -> None:
        """Read the data.

        Raises:
            FlowError: The data cannot be read, or are too few.
        """

    @abc.abstractmethod
    def split(self) -> None:
        """Split the data into parts for training, for validation and for testing."""

    @abc.abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return the name of the system, as "system", and its arguments."""

    @abc.abstractmethod
    def model(self, spec: Mapping[str, Any]) -> Distribution:
        """Return a model of the data with new random weights."""

    @abc.abstractmethod
    def rows(self, model: Distribution) -> TrainingRows:
        """Return the data for the training of the model."""

    @abc.abstractmethod
    def score(self, model: Distribution) -> dict[str, Any] | None:
        """Return the score of the held-out rows and of the baselines, as plain values; None if no rows were held out."""

    def finish(self, model: Distribution, result: FitResult) -> tuple[Distribution, dict[str, Any]]:
        """Return the final model after training, by default the trained model, and entries for the record.

        Raises:
            Interrupted: The user pressed Ctrl-C, or the process received SIGTERM.
        """
        return model, {}

    def results(self, model: Distribution) -> dict[str, Any]:
        """Return the entries of the record about the trained model, such as its scores."""
        return {"scores": self.score(model)}

    @abc.abstractmethod
    def score_text(self, model: Distribution, scores: Mapping[str, Any]) -> str:
        """Return the score as text."""

    @abc.abstractmethod
    def describe(self) -> list[str]:
        """Return lines about the data and their parts."""

    @abc.abstractmethod
    def record(self) -> dict[str, Any]:
        """Return the entries of the model file about the data."""


class TrainedModel(abc.ABC):
    """Model from a file, on its device and in evaluation mode, and the data to score with it; base class.

    Args:
        path: Path of the file.
        model: The model.
        training: Record that `fit` saved.
    """

    default_samples: ClassVar[int]
    """Default number of samples."""
    prints_scores: ClassVar[bool] = False
    """Whether scores go to standard output by default."""

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
            DataError: The file holds a model of another kind of data.
        """

    @classmethod
    @abc.abstractmethod
    def check_score(cls, path: str, options: ScoreOptions) -> None:
        """Refuse options of `score` that do not belong to this kind of data."""

    @classmethod
    @abc.abstractmethod
    def check_report(cls, path: str, options: ReportOptions) -> None:
        """Refuse options of `report` that do not belong to this kind of data."""

    @classmethod
    @abc.abstractmethod
    def check_sample(cls, path: str, options: SampleOptions) -> None:
        """Refuse options of `sample` that do not belong to this kind of data, and an output that cannot be written."""

    @abc.abstractmethod
    def prepare(self, source: str, drop: Sequence[str], reading: ReadOptions) -> None:
        """Read the data to score.

        Raises:
            FlowError: The data cannot be read, or do not fit the model.
        """

    def given_with(self, source: str | None) -> None:
        """Set the source of the pictures that are given to a conditional model of pictures.

        Raises:
            UsageError: The model takes no pictures.
        """
        if source is not None:
            raise UsageError(
                f"--condition is for models of pictures that are given pictures; leave it out for {self.path}"
            )

    @classmethod
    def check_frames(cls, path: str, options: SampleOptions) -> None:
        """Refuse options of `sample` for clips.

        Raises:
            UsageError: They are given, and the model is not one of clips.
        """
        if options.given is not None or options.frames is not None:
            raise UsageError(f"--given and --frames are for models of clips; leave them out for {path}")

    def solve_exactly(self) -> None:
        """Replace the model by its exact version, whose solvers, traces and series are exact up to rounding."""
        self.model = exactly(self.model)

    @abc.abstractmethod
    def log_likelihoods(self, samples: int, seed: int) -> Array:
        """Return the log-likelihood of each row of the data, in nats."""

    def score_table(self, log_prob: Array, options: ScoreOptions, seed: int) -> Table:
        """Return the scores of all rows as a table, which `score` writes."""
        return Table(("log_prob",), (log_prob,))

    @abc.abstractmethod
    def least_likely(self, log_prob: Array, rows: Array, width: int) -> str:
        """Return some rows with their scores as text, of at most the given width if possible."""

    @abc.abstractmethod
    def summary(self, log_prob: Array, samples: int) -> Iterable[str]:
        """Return lines of text about the scores of all rows."""

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
        """Return an HTML page about the model and the data, the score as text, and the score as plain values."""

    def constants(self, seed: int) -> BiLipschitz:
        """Return the realised bi-Lipschitz constants of the flow at the data.

        Raises:
            UsageError: The model is not one of a table with numbers.
        """
        raise UsageError("--constants is for models of tables; leave it out")


def system_name(model: Any) -> str:
    """Return the name of the system of a model; for a table without numeric columns, the system of its labels."""
    spec = model.spec or getattr(model, "label_spec", None)
    return "labels" if spec is None else spec.name


def start(machine: MachineOptions, *, shared: bool = False) -> torch.device:
    """Set the number of threads, and return the device to compute on; each process on a machine gets its own GPU.

    Args:
        machine: Options of the command.
        shared: Whether several processes can share the command.

    Raises:
        SpecError: The option asks for a GPU and there is none, or there are fewer GPUs than processes.
        UsageError: `torchrun` started several processes of a command that needs a single process.
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
    """Refuse to run a command in several processes.

    Raises:
        UsageError: `torchrun` started several processes.
    """
    if world_size() > 1:
        raise UsageError("only fit can run in several processes of torchrun; start this command without torchrun")


def require_suffix(path: str, option: str, known: Mapping[str, Any] | Sequence[str]) -> None:
    """Refuse the path of a table with an unknown suffix; - stands for CSV on standard output.

    Raises:
        UsageError: The suffix is unknown; the message lists the known suffixes.
    """
    if path != "-" and Path(path).suffix.lower() not in known:
        raise UsageError(f"expected {option} to be - or a file of type {', '.join(known)}, got {path}")
