"""Layers. `scalar` holds the scalar maps; `elementwise`, `coupling` and `autoregressive` give them their parameters."""

from .autoregressive import Autoregressive
from .bounded import Logit
from .coupling import Coupling, alternating_mask, half_mask, random_mask
from .elementwise import Elementwise
from .linear import LU, Diagonal, Orthogonal, Permutation
from .normalise import ActNorm, BatchNorm, Standardise
from .scalar import Additive, Affine, GatedAffine, LogisticMixture, RationalQuadratic, RoundedShift, Scalar
from .shape import Reshape
from .stochastic import Dequantise, Stochastic
from .surjective import Slice

__all__ = [
    "LU",
    "ActNorm",
    "Additive",
    "Affine",
    "Autoregressive",
    "BatchNorm",
    "Coupling",
    "Dequantise",
    "Diagonal",
    "Elementwise",
    "GatedAffine",
    "Logit",
    "LogisticMixture",
    "Orthogonal",
    "Permutation",
    "RationalQuadratic",
    "Reshape",
    "RoundedShift",
    "Scalar",
    "Slice",
    "Standardise",
    "Stochastic",
    "alternating_mask",
    "half_mask",
    "random_mask",
]
