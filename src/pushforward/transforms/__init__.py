"""Layers. `scalar` holds the scalar maps; `elementwise`, `coupling` and `autoregressive` give them their parameters."""

from .autoregressive import Autoregressive
from .bounded import Centre, Logit
from .continuous import Continuous
from .coupling import Coupling
from .elementwise import Elementwise
from .linear import LU, Diagonal, Haar, Linear, Orthogonal, Permutation
from .masks import alternating_mask, checkerboard_mask, half_mask, random_mask, random_order
from .modular import Modular
from .normalise import ActNorm, BatchNorm, Standardise
from .onehot import ToOneHot
from .residual import Residual
from .scalar import (
    Additive,
    Affine,
    Composed,
    GatedAffine,
    LogisticMixture,
    RationalQuadratic,
    RoundedShift,
    Scalar,
    Sigmoidal,
)
from .shape import Checkerboard, Reshape, Squeeze, Tokens
from .stochastic import Dequantise, Stochastic
from .surjective import Slice

__all__ = [
    "LU",
    "ActNorm",
    "Additive",
    "Affine",
    "Autoregressive",
    "BatchNorm",
    "Centre",
    "Checkerboard",
    "Composed",
    "Continuous",
    "Coupling",
    "Dequantise",
    "Diagonal",
    "Elementwise",
    "GatedAffine",
    "Haar",
    "Linear",
    "LogisticMixture",
    "Logit",
    "Modular",
    "Orthogonal",
    "Permutation",
    "RationalQuadratic",
    "Reshape",
    "Residual",
    "RoundedShift",
    "Scalar",
    "Sigmoidal",
    "Slice",
    "Squeeze",
    "Standardise",
    "Stochastic",
    "ToOneHot",
    "Tokens",
    "alternating_mask",
    "checkerboard_mask",
    "half_mask",
    "random_mask",
    "random_order",
]
