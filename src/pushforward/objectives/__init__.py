"""Objectives: modules whose `forward(batch)` is a scalar loss to minimise; a batch is `(x,)` or `(x, context)`."""

from .likelihood import Flipped, NegativeLogLikelihood

__all__ = ["Flipped", "NegativeLogLikelihood"]
