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
from .mass import total_mass
from .normality import LatentNormality, TestResult, holm, latent_normality
from .paths import SolverCheck, StepError, Straightness, check_solver, follow, step_errors, straightness
from .two_sample import TwoSampleScore, encode_pair, two_sample_score

__all__ = [
    "BaselineScore",
    "Estimate",
    "LatentNormality",
    "NumericView",
    "SolverCheck",
    "StepError",
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
    "step_errors",
    "straightness",
    "table_views",
    "total_mass",
    "two_sample_score",
]
