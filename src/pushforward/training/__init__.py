"""Training: `fit` for anything with a loss, `TrainConfig`, `FitResult`, and `evaluate` for scores in chunks."""

from .config import TrainConfig
from .evaluate import evaluate
from .fit import fit
from .result import FitResult
from .validation_split import split_rows

__all__ = ["FitResult", "TrainConfig", "evaluate", "fit", "split_rows"]
