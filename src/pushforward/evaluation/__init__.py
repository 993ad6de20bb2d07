"""Evaluation of trained models: scores, bits per dimension, latent codes, baselines and tests. It draws no plots."""

from .baselines import (
    BaselineScore,
    Estimate,
    NumericView,
    baselines,
    mean_and_error,
    paired_difference,
    table_views,
)
from .classes import calibrate_classes, calibration_error, class_log_probs
from .copula_marginals import copula_distances
from .gap_bounds import concentration_total_variation, gap_total_variation, leaked_mass
from .latent import Codes, attribute, decode, draw, encode, interpolate, nearest, resample, shift
from .mass import total_mass
from .normality import LatentNormality, TestResult, holm, latent_normality
from .realised_constants import BiLipschitz, bi_lipschitz, guaranteed_inverse
from .reconstruction import ReconstructionCheck, check_reconstruction
from .scores import Bits, bits_from, bits_per_dimension, can_average, log_likelihoods
from .solver_checks import SolverCheck, StepError, Straightness, check_solver, follow, step_errors, straightness
from .two_sample import TwoSampleScore, encode_pair, two_sample_score

__all__ = [
    "BaselineScore",
    "BiLipschitz",
    "bi_lipschitz",
    "concentration_total_variation",
    "copula_distances",
    "gap_total_variation",
    "guaranteed_inverse",
    "leaked_mass",
    "Bits",
    "Codes",
    "Estimate",
    "LatentNormality",
    "NumericView",
    "ReconstructionCheck",
    "SolverCheck",
    "StepError",
    "Straightness",
    "TestResult",
    "TwoSampleScore",
    "attribute",
    "baselines",
    "bits_from",
    "bits_per_dimension",
    "can_average",
    "calibrate_classes",
    "calibration_error",
    "check_reconstruction",
    "check_solver",
    "class_log_probs",
    "decode",
    "draw",
    "encode",
    "encode_pair",
    "follow",
    "holm",
    "interpolate",
    "latent_normality",
    "log_likelihoods",
    "mean_and_error",
    "nearest",
    "paired_difference",
    "resample",
    "shift",
    "step_errors",
    "straightness",
    "table_views",
    "total_mass",
    "two_sample_score",
]
