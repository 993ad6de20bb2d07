"""Early stopping after epochs without a better score, and a lower learning rate when the score reaches a plateau."""

from __future__ import annotations

import math

from .config import TrainConfig
from .progress_state import Position


def is_better(score: float, position: Position) -> bool:
    """Return whether the score of an epoch is finite and above all earlier scores."""
    return math.isfinite(score) and (position.score is None or score > position.score)


def count_epoch(score: float, position: Position, config: TrainConfig) -> None:
    """Count the epochs without a better score, and lower the learning rate after `plateau_patience` of them.

    Args:
        score: Score of the epoch that ends.
        position: State of the run, which is changed.
        config: Options of the run, resolved.
    """
    if is_better(score, position):
        position.score, position.waited, position.stalled = score, 0, 0
    else:
        position.waited += 1
        position.stalled += 1
    if position.stalled >= (config.plateau_patience or 1):
        position.plateau *= config.plateau_factor
        position.stalled = 0


def out_of_patience(position: Position, config: TrainConfig) -> bool:
    """Return whether there was no better score for `patience` epochs; always False if `patience` is 0."""
    return bool(config.patience) and position.waited >= (config.patience or 0)
