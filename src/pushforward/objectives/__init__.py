"""Objectives: modules whose `forward(batch, weights=None)` is a scalar loss to minimise.

A batch is `(x,)` or `(x, context)`. Weights, one for each row, have mean one over the data set. An objective whose
`forward` has no argument `weights` can only train without weights.
"""

from .bound import CodeLikelihood, EvidenceBound, bound_terms
from .cdf_targets import CDFTargets, QuantileGenerator
from .deep_density import DeepDensity
from .divergence import Divergence, ForwardKL, PathGradient, Renyi, ReverseKL, StratifiedKL
from .enumeration import EnumeratedLikelihood, enumerated_log_prob
from .expected_choices import ExpectedChoices
from .graph_likelihood import GraphLikelihood, learned_graph
from .inverse_problem import (
    BackwardDiscrepancy,
    ForwardFit,
    InverseProblem,
    LatentDiscrepancy,
    Padding,
    Reconstruction,
)
from .likelihood import Binarised, Flipped, NegativeLogLikelihood, PenalisedLikelihood, default_objective
from .many_samples import ManySamples
from .matching import FlowMatching
from .naming import objective_name
from .random_orders import OrderlessLikelihood
from .semi_supervised import SemiSupervised

__all__ = [
    "BackwardDiscrepancy",
    "Binarised",
    "CDFTargets",
    "CodeLikelihood",
    "DeepDensity",
    "Divergence",
    "EnumeratedLikelihood",
    "EvidenceBound",
    "ExpectedChoices",
    "ManySamples",
    "FlowMatching",
    "Flipped",
    "ForwardFit",
    "ForwardKL",
    "GraphLikelihood",
    "InverseProblem",
    "LatentDiscrepancy",
    "NegativeLogLikelihood",
    "OrderlessLikelihood",
    "Padding",
    "PathGradient",
    "PenalisedLikelihood",
    "QuantileGenerator",
    "Reconstruction",
    "Renyi",
    "ReverseKL",
    "SemiSupervised",
    "StratifiedKL",
    "bound_terms",
    "default_objective",
    "enumerated_log_prob",
    "learned_graph",
    "objective_name",
]
