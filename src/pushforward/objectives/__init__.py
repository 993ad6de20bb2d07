"""Objectives: modules whose `forward(batch)` is a scalar loss to minimise; a batch is `(x,)` or `(x, context)`."""

from .likelihood import Flipped, NegativeLogLikelihood, PenalisedLikelihood, default_objective
from .matching import FlowMatching

__all__ = ["FlowMatching", "Flipped", "NegativeLogLikelihood", "PenalisedLikelihood", "default_objective"]
