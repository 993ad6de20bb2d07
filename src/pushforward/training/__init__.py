"""Training: `fit` for anything with a loss, `TrainConfig`, `FitResult`, and `evaluate` for scores in chunks."""

from .config import TrainConfig
from .data import split_rows
from .evaluate import evaluate
from .fit import fit
from .result import FitResult

__all__ = ["FitResult", "TrainConfig", "evaluate", "fit", "split_rows"]
