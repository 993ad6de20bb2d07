"""Numbers that say how good a density is: baselines, normal latents, two-sample scores, what solving costs. No plots."""

from .baselines import (
    BaselineScore,
    Estimate,
    NumericView,
    baselines,
    mean_and_error,
    paired_difference,
    table_views,
)
from .normality import LatentNormality, TestResult, holm, latent_normality
from .paths import SolverCheck, Straightness, check_solver, follow, straightness
from .two_sample import TwoSampleScore, encode_pair, two_sample_score

__all__ = [
    "BaselineScore",
    "Estimate",
    "LatentNormality",
    "NumericView",
    "SolverCheck",
    "Straightness",
    "TestResult",
    "TwoSampleScore",
    "baselines",
    "check_solver",
    "encode_pair",
    "follow",
    "holm",
    "latent_normality",
    "mean_and_error",
    "paired_difference",
    "straightness",
    "table_views",
    "two_sample_score",
]
