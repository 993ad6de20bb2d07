"""Training: `fit` for anything with a loss, `TrainConfig`, `FitResult`, and `evaluate` for scores in chunks."""

from .batch_statistics import measure_batch_norm
from .config import TrainConfig
from .evaluate import evaluate
from .fit import fit
from .result import FitResult
from .validation_split import split_rows

__all__ = ["FitResult", "TrainConfig", "evaluate", "fit", "measure_batch_norm", "split_rows"]
