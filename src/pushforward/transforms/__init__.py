"""Layers of flows. `scalar` has the maps of one number; `elementwise`, `coupling` and `autoregressive` set their parameters."""

from .autoregressive import Autoregressive
from .bounded import Centre, Log, Logit, LogRatio, to_line
from .cholesky import Cholesky
from .circle import CircleMap, CircularSpline, MoebiusMixture, Projection
from .continuous import Continuous
from .contractive import Residual
from .coupling import Coupling
from .cylinder import Cylinder
from .elementwise import Elementwise
from .exponential_map import ExponentialMap, QuadraticPotential, RadialPotential
from .hamiltonian import Annealed, Leapfrog, Metropolis, Refresh, Schedule, Temperature, Tempering, hamiltonian
from .householder import Sylvester
from .linear import LU, Diagonal, Haar, Linear, Orthogonal, Permutation
from .masks import alternating_mask, checkerboard_mask, half_mask, random_mask, random_order
from .modular import Modular
from .normalise import ActNorm, BatchNorm, Standardise
from .onehot import ToOneHot
from .per_coordinate import PerCoordinate
from .planar_layers import Planar, Radial
from .scalar import (
    Additive,
    Affine,
    Composed,
    GatedAffine,
    LineMap,
    LogisticMixture,
    RationalQuadratic,
    RoundedShift,
    Scalar,
    Sigmoidal,
)
from .shape import Checkerboard, Reshape, Squeeze, Tokens
from .stochastic import Augment, Dequantise, Stochastic
from .surjective import Slice
from .torch_transforms import AsTorchTransform, FromTorchTransform

__all__ = [
    "LU",
    "ActNorm",
    "Additive",
    "Affine",
    "Annealed",
    "AsTorchTransform",
    "Augment",
    "Autoregressive",
    "BatchNorm",
    "Centre",
    "Checkerboard",
    "Cholesky",
    "CircleMap",
    "CircularSpline",
    "Composed",
    "Continuous",
    "Coupling",
    "Cylinder",
    "Dequantise",
    "Diagonal",
    "Elementwise",
    "ExponentialMap",
    "FromTorchTransform",
    "GatedAffine",
    "Haar",
    "Leapfrog",
    "Linear",
    "Log",
    "LineMap",
    "LogRatio",
    "LogisticMixture",
    "Logit",
    "Metropolis",
    "Modular",
    "MoebiusMixture",
    "Orthogonal",
    "PerCoordinate",
    "Permutation",
    "Planar",
    "QuadraticPotential",
    "Projection",
    "Radial",
    "RadialPotential",
    "RationalQuadratic",
    "Refresh",
    "Reshape",
    "Residual",
    "RoundedShift",
    "Scalar",
    "Schedule",
    "Sigmoidal",
    "Slice",
    "Squeeze",
    "Standardise",
    "Stochastic",
    "Sylvester",
    "Temperature",
    "Tempering",
    "ToOneHot",
    "Tokens",
    "alternating_mask",
    "checkerboard_mask",
    "half_mask",
    "hamiltonian",
    "random_mask",
    "random_order",
    "to_line",
]
