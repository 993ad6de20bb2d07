"""Objectives: modules whose `forward(batch)` is a scalar loss to minimise; a batch is `(x,)` or `(x, context)`."""

from .likelihood import Flipped, NegativeLogLikelihood, PenalisedLikelihood, default_objective

__all__ = ["Flipped", "NegativeLogLikelihood", "PenalisedLikelihood", "default_objective"]
